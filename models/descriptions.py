"""Frozen dataclasses that describe a network, to and from JSON."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")


def to_json(description: "DataclassInstance") -> str:
    """A description as one line of JSON with sorted keys."""
    return json.dumps(dataclasses.asdict(description), sort_keys=True)


def from_json(cls: type[C], text: str, what: str, kinds: Mapping[str, Callable[[Any], Any]]) -> C:
    """The description that `to_json` wrote.

    Args:
        cls: its class.
        text: the JSON.
        what: what messages call it, with its article.
        kinds: fields that JSON has no type for, and what makes them of JSON's.

    Raises:
        ValueError: not JSON, unknown or missing fields, or values that contradict each other.
    """
    try:
        fields = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{what} description is nested too deep") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{what} description is a JSON object, got {text[:40]!r}")
    if unknown := sorted(set(fields) - {field.name for field in dataclasses.fields(cls)}):
        raise ValueError(f"unknown fields in {what} description: {unknown}")
    for field in dataclasses.fields(cls):
        value = fields.get(field.name)
        if field.name in fields and field.type in (int, bool) and type(value) is not field.type:
            raise ValueError(f"{what} description has {field.name} {value!r:.40}")
    try:
        made = {name: kinds.get(name, _same)(value) for name, value in fields.items()}
        return cls(**made)
    except TypeError as error:
        raise ValueError(f"bad {what} description: {error}") from error


def whole_numbers(values: Any) -> tuple[int, ...]:
    """A list of JSON's whole numbers; a `ValueError` where it is something else."""
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise ValueError(f"{values!r:.40} is not a list of whole numbers")
    return tuple(values)


def _same(value: Any) -> Any:
    return value
