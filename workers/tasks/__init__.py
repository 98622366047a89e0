"""One module per stage of a job; none knows another. Each has `run(context) -> int | None`."""
