"""Datasets: labelled images of any kinds, sent one by one or as an archive."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.client._errors import Misused
from service.client._models import Label, Resource, Segmentation
from service.client._packing import packed
from service.client._resources import Collection, Reference, StrPath, is_address
from service.client._uploads import OnBytes, Upload

Pair = tuple[StrPath, StrPath]
"""A picture and its mask."""
Item = Pair | Mapping[str, StrPath]
"""The same, or files by what the API calls them: `image`, `label`, `keypoints`, `depth`."""


class Datasets(Collection):
    """Labelled images: open at first, sealed when every image is in."""

    name = "datasets"

    def create(
        self,
        label: Label | Sequence[str] | None = None,
        *,
        labels: Sequence[Label] | None = None,
        domain: str | None = None,
        archive: StrPath | Upload | None = None,
        only: Sequence[str] = (),
        name: str = "",
        licence: str = "",
        on_bytes: OnBytes | None = None,
        idempotency_key: str | None = None,
        **reading: Any,
    ) -> Resource:
        """Begin a dataset, or take a whole one from an archive.

        Args:
            label: what its labels mean; class names in the order of their ids will do.
            labels: the same, where there are several kinds.
            domain: a preset that says it, e.g. `faces-8`, in place of either.
            archive: a zip, tar or tar.gz in a layout that is known, a folder (sent as a zip, which
                takes its size in `TMPDIR` meanwhile), or the address of an archive `s3://…` or
                of a folder `s3://…/`; without one, use `add` and `seal`.
            only: of a folder on this machine, patterns of the files to send, e.g.
                `["images/1?.jpg", "masks/1?.png"]`; `*` stands for anything, a `/` too.
            name: free text.
            licence: free text, carried into every card.
            on_bytes: called as the archive is uploaded.
            idempotency_key: made up when left out.
            reading: the API's other fields: `layout`, `merge`, `colours`, `options`,
                `on_fault="skip"`, `fit={"canvas": {…}, "policy": {"name": "pad"}}`,
                `tiny_classes="clean"`.

        Raises:
            Misused: there is nothing to send, or more than a dataset may have (see `only`).
        """
        single = None if label is None else _spec(label)
        body = {
            "label": single,
            "labels": None if labels is None else [_spec(each) for each in labels],
            "domain": domain,
            **self._archive(archive, only, on_bytes),
            "name": name,
            "licence": licence,
            **reading,
        }
        return self._create(body, idempotency_key)

    def add(self, dataset: Reference, items: Iterable[Item], key: str | None = None) -> int:
        """Add labelled images to an open dataset; how many it was.

        Args:
            dataset: an open one.
            items: paths of each image and of its labels; the image's name without its ending is
                the key.
            key: another key, for a single one.

        Raises:
            BadRequest: a file is not what it should be (the message names it), or it is sealed.
        """
        count = 0
        for item in items:
            parts = item if isinstance(item, Mapping) else {"image": item[0], "label": item[1]}
            files = {
                part: (Path(path).name, Path(path).read_bytes()) for part, path in parts.items()
            }
            data = {"key": key or Path(parts["image"]).stem}
            self._transport.create(self._path(dataset, "items"), files=files, data=data)
            count += 1
        return count

    def seal(self, dataset: Reference, *, idempotency_key: str | None = None) -> Resource:
        """Close a dataset; a job checks it and makes it ready.

        Args:
            dataset: an open one.
            idempotency_key: made up when left out; who calls again after an error gives one, for
                a dataset that is sealed is not sealed twice.
        """
        answer = self._transport.create(self._path(dataset, "seal"), idempotency_key)
        return Resource.model_validate(answer)

    def _archive(
        self, archive: StrPath | Upload | None, only: Sequence[str], on_bytes: OnBytes | None
    ) -> dict[str, str]:
        """Where an archive is, as the API says it; a folder is packed and uploaded first."""
        path = _on_this_machine(archive)
        if path is not None and path.is_dir():
            with packed(path, only) as file:
                return self._place(file, on_bytes)
        if only:
            raise Misused("only chooses files of a folder on this machine; give its path")
        return {} if archive is None else self._place(archive, on_bytes)


def _spec(label: Label | Sequence[str]) -> dict[str, Any]:
    """A label as the API wants it, with what was said of it alone."""
    spec = Segmentation(classes=tuple(label)) if isinstance(label, Sequence) else label
    return {"kind": spec.kind, **spec.model_dump(mode="json", exclude_unset=True)}


def _on_this_machine(archive: StrPath | Upload | None) -> Path | None:
    """Where an archive is, if it is here."""
    if archive is None or isinstance(archive, Upload) or is_address(archive):
        return None
    return Path(archive)
