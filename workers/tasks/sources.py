"""Brings what users have sent or left elsewhere to a task. Torch-free.

Files come into its scratch folder; a folder of a bucket is read where it lies.
"""

import json
from pathlib import Path

from models.data.labelled import Files
from workers.addresses import S3Address, refusal
from workers.digests import checked_file
from workers.errors import ObjectNotFound, Retryable, TaskFailed
from workers.imports import Imports
from workers.params import FileParams, ReadingParams
from workers.tasks.context import TaskContext


def given(context: TaskContext, params: FileParams) -> Path:
    """The file that parameters name: an upload, or one at an address.

    Raises:
        TaskFailed: `upload_missing`, or `source_…` (see `workers.imports`).
    """
    if params.upload_id is not None:
        return upload(context, params.upload_id)
    assert params.source is not None, "who asks for the file knows that there is one"
    imports = _imports(context, params.source)
    context.report("fetching", 0, 1, "files")
    path = context.scratch / "fetched"
    imports.fetch(params.source, path)
    return path


def dataset(context: TaskContext, params: ReadingParams) -> Path | Files:
    """What a dataset is read from: a file as `given`, or the objects below a folder's address.

    Raises:
        TaskFailed: as `given` does.
        InvalidDataset: the folder holds what no dataset may hold.
    """
    if params.source is None or not S3Address.parse(params.source).is_folder:
        return given(context, params)
    imports = _imports(context, params.source)
    context.report("listing", 0, 0, "objects")
    return imports.folder(params.source)


def upload(context: TaskContext, upload_id: str) -> Path:
    """What was uploaded.

    Raises:
        TaskFailed: `upload_missing`; `upload_damaged`: it has not the digest that was announced.
    """
    path = context.scratch / upload_id
    try:
        context.store.get_file(context.parent_key("uploads", upload_id, "content"), path)
    except ObjectNotFound as error:
        problem = f"upload {upload_id} holds no bytes; PUT the file, then name the upload"
        raise TaskFailed("upload_missing", problem) from error
    if announced := _announced(context, upload_id):
        try:
            checked_file(path, announced, f"upload {upload_id}")
        except Retryable as error:
            raise TaskFailed("upload_damaged", f"{error}: PUT the file again") from error
    return path


def _announced(context: TaskContext, upload_id: str) -> str | None:
    """The sha256 that an upload's bytes were said to have: those that go past the service."""
    try:
        text = context.store.get(context.parent_key("uploads", upload_id, "upload.json"))
    except ObjectNotFound:
        return None
    found: str | None = json.loads(text).get("sha256")
    return found


def _imports(context: TaskContext, address: str) -> Imports:
    if context.imports is None:
        raise TaskFailed("source_not_allowed", refusal(address, ()))
    return context.imports.of(context.resource.tenant)
