"""Brings what users have sent or left elsewhere into a task's scratch folder. Torch-free."""

from pathlib import Path

from workers.addresses import refusal
from workers.errors import ObjectNotFound, TaskFailed
from workers.params import FileParams
from workers.tasks.context import TaskContext


def given(context: TaskContext, params: FileParams) -> Path:
    """The file that parameters name: an upload, or one at an address.

    Raises:
        TaskFailed: `upload_missing`, or `source_…` (see `workers.imports`).
    """
    if params.upload_id is not None:
        return upload(context, params.upload_id)
    assert params.source is not None, "who asks for the file knows that there is one"
    if context.imports is None:
        raise TaskFailed("source_not_allowed", refusal(params.source, ()))
    context.report("fetching", 0, 1, "files")
    path = context.scratch / "fetched"
    context.imports.fetch(params.source, path)
    return path


def upload(context: TaskContext, upload_id: str) -> Path:
    """What was uploaded.

    Raises:
        TaskFailed: `upload_missing`.
    """
    path = context.scratch / upload_id
    try:
        context.store.get_file(context.parent_key("uploads", upload_id, "content"), path)
    except ObjectNotFound as error:
        problem = f"upload {upload_id} holds no bytes; PUT the file, then name the upload"
        raise TaskFailed("upload_missing", problem) from error
    return path
