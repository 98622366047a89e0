"""What a generator, and a dataset beside it, hand down to all that is made of them."""

from typing import Any

from workers.tasks import parents
from workers.tasks.context import TaskContext


def licence(context: TaskContext, generator_id: str, dataset_id: str | None) -> str:
    """Whose licences hold: the generator's and the dataset's, each if it has one.

    Raises:
        TaskFailed: `parent_not_ready`.
    """
    found = {"generator": parents.document(context, "generators", generator_id)["licence"]}
    if dataset_id is not None:
        found["dataset"] = parents.dataset(context, dataset_id).licence
    said = {role: licence for role, licence in found.items() if licence}
    if len(set(said.values())) <= 1:
        return next(iter(said.values()), "")
    return "; ".join(f"{role}: {licence}" for role, licence in said.items())


def lineage(context: TaskContext, generator_id: str, dataset_id: str | None) -> dict[str, Any]:
    """Ids, and the digests of what they stood for, by role.

    Raises:
        TaskFailed: `parent_not_ready`.
    """
    sha256 = parents.document(context, "generators", generator_id)["sha256"]
    found = {"generator": {"id": generator_id, "sha256": sha256}}
    if dataset_id is not None:
        digest = parents.digest(context, "datasets", dataset_id)
        found["dataset"] = {"id": dataset_id, "sha256": digest}
    return found
