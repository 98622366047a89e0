"""What an inspection found, line by line for people. Pure: knows neither torch nor a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any


def lines_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The name and the value of each line; a list of texts has a line for each, if there is one.

    Args:
        document: of a checkpoint (`inspection.OpenedGenerator.document` and its like).
    """
    for name, value in document.items():
        if name == "schema_version":
            continue
        if isinstance(value, Mapping) and not _is_plain(value):
            yield from ((f"{name} {inner}".strip(), text) for inner, text in lines_of(value))
        elif isinstance(value, list) and value and isinstance(value[0], str):
            yield from ((name, text) for text in value)
        elif value != []:
            yield name.replace("_", " "), _text(name, value)


def _is_plain(value: Mapping[str, Any]) -> bool:
    """Whether these are numbers by number, such as channels by rows."""
    return all(key.isdecimal() for key in value)


def _text(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {number}" for key, number in value.items())
    if isinstance(value, list):
        return (" x " if name.endswith("shape") else ", ").join(map(str, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:,}" if isinstance(value, int) else str(value)
