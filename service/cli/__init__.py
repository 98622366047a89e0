"""The command line. Needs httpx, pydantic, typer and rich; never torch."""
