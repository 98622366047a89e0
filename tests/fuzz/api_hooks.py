"""What schemathesis does to a request before it is sent; loaded by it, and by nothing else.

Made-up ids name nothing and made-up keys are soon all taken, so most requests would be refused at
the door. Half of those that mean to be valid are given ids of things that exist, and a key of
their own.
"""

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import schemathesis
from schemathesis import Case, HookContext

THINGS: dict[str, str] = json.loads(os.environ["HANDSOFF_FUZZ_THINGS"])
"""The id of something that exists, by collection and `jobs`."""

_KEY = "Idempotency-Key"
# The longest names first, for some end as others do.
_FIELDS = {
    "label_generator_id": "label-generators",
    "generator_id": "generators",
    "generation_id": "generations",
    "inversion_id": "inversions",
    "encoder_id": "encoders",
    "dataset_id": "datasets",
    "upload_id": "uploads",
    "job_id": "jobs",
    "like": "label-generators",
}
_count = itertools.count()


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, Any]) -> None:
    """Turn every other valid request into one about things that exist."""
    number = next(_count)
    meta = case.meta
    if meta is None or meta.generation.mode.is_negative:
        return
    if case.headers and case.headers.get(_KEY) and number % 4:
        case.headers[_KEY] = f"key-{os.getpid()}-{number}"
    if number % 2:
        return
    if case.path_parameters:
        case.path_parameters = dict(_with_things(case.path_parameters, case.path))
    if isinstance(case.body, dict):
        case.body = dict(_with_things(case.body, case.path))


def _with_things(fields: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """The fields, with ids of things that exist in place of others."""
    for name, value in fields.items():
        singular = "label_generator_id" if name == "label_generator_ids" else name
        collection = _collection(singular, path)
        thing = THINGS.get(collection or "")
        if thing is None or value is None:
            yield name, value
        else:
            yield name, [thing] if isinstance(value, list) else thing


def _collection(name: str, path: str) -> str | None:
    """What a field's id names."""
    if name == "resource_id":
        return path.split("/")[2]
    return next((found for end, found in _FIELDS.items() if name.endswith(end)), None)
