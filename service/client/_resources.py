"""One class per collection of resources, with the verb that makes a new one.

Wherever a resource is named, the resource itself or its id will do; wherever bytes are wanted, a
path or an upload.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard
from urllib.parse import quote

from service.client._models import Deleted, Estimate, File, Resource
from service.client._pages import pages
from service.client._transport import Transport
from service.client._uploads import OnBytes, Upload, Uploads

StrPath = str | os.PathLike[str]
Reference = Resource | str
ADDRESS = "s3://"


def id_of(resource: Reference) -> str:
    """The id of a resource that is named by itself or by its id."""
    return resource if isinstance(resource, str) else resource.id


def is_address(place: object) -> TypeGuard[str]:
    """Whether it is an address that the service reads itself, no path on this machine."""
    return isinstance(place, str) and place.startswith(ADDRESS)


class Collection:
    """What all collections can do."""

    name = ""

    def __init__(self, transport: Transport, uploads: Uploads) -> None:
        self._transport = transport
        self._uploads = uploads

    def get(self, resource: Reference) -> Resource:
        """A resource as it stands.

        Raises:
            NotFound: there is none of that id.
        """
        return Resource.model_validate(self._transport.get(self._path(resource)).json())

    def list(self, limit: int | None = None) -> Iterator[Resource]:
        """The collection's resources, newest first, at most `limit`."""
        return pages(self._transport, f"/v1/{self.name}", Resource, limit, {})

    def delete(
        self, resource: Reference, *, cascade: bool = False, dry_run: bool = False
    ) -> Deleted:
        """Delete a resource with its files, by `cascade` what is made of it; `dry_run` only tells.

        Raises:
            NotFound: there is none of that id; it may just have been deleted.
            BadRequest: something is made of it, or a job of what would go has not ended.
        """
        params = {k: "true" for k, on in (("cascade", cascade), ("dry_run", dry_run)) if on}
        answer = self._transport.send("DELETE", self._path(resource), params=params)
        return Deleted.model_validate(answer.json())

    def files(self, resource: Reference) -> Sequence[File]:
        """The files of a resource, with sizes and, where they are known, digests."""
        return list(pages(self._transport, self._path(resource, "files"), File, None, {}))

    def read(self, resource: Reference, path: str) -> bytes:
        """One file of a resource, whole; for large ones there is `Client.fetch`."""
        url = self._path(resource, f"files/{quote(path)}")
        return self._transport.get(url, follow_redirects=True).content

    def _path(self, resource: Reference, rest: str = "") -> str:
        return f"/v1/{self.name}/{id_of(resource)}" + (f"/{rest}" if rest else "")

    def _create(
        self, body: Mapping[str, Any], idempotency_key: str | None, rest: str = ""
    ) -> Resource:
        """POST what was given: fields that are None are left to the service's defaults."""
        given = {name: value for name, value in body.items() if value is not None}
        answer = self._transport.create(f"/v1/{self.name}{rest}", idempotency_key, json=given)
        return Resource.model_validate(answer)

    def _upload_id(self, source: StrPath | Upload, on_bytes: OnBytes | None = None) -> str:
        upload = source if isinstance(source, Upload) else self._uploads.create(source, on_bytes)
        return upload.id

    def _place(self, source: StrPath | Upload, on_bytes: OnBytes | None = None) -> dict[str, str]:
        """Where a file is, as the API says it; one on this machine is uploaded first."""
        if is_address(source):
            return {"source": source}
        return {"upload_id": self._upload_id(source, on_bytes)}


class Generators(Collection):
    """StyleGAN2 generators."""

    name = "generators"

    def create(
        self,
        checkpoint: StrPath | Upload,
        *,
        name: str = "",
        licence: str = "",
        on_bytes: OnBytes | None = None,
        idempotency_key: str | None = None,
    ) -> Resource:
        """Register a checkpoint of any known family; it is read, never executed.

        Args:
            checkpoint: a file, an upload, or an address `s3://…` that the service may read.
            name: free text.
            licence: free text, carried into every card.
            on_bytes: called as a file is uploaded.
            idempotency_key: made up when left out.
        """
        place = self._place(checkpoint, on_bytes)
        return self._create({**place, "name": name, "licence": licence}, idempotency_key)

    def preview(self, generator: Reference) -> bytes:
        """A PNG of samples, side by side; there once the generator is ready."""
        return self.read(generator, "preview.png")


class Encoders(Collection):
    """pSp, e4e and ReStyle encoders."""

    name = "encoders"

    def create(
        self,
        checkpoint: StrPath | Upload,
        *,
        name: str = "",
        licence: str = "",
        family: str | None = None,
        register_decoder: bool = False,
        on_bytes: OnBytes | None = None,
        idempotency_key: str | None = None,
    ) -> Resource:
        """Register an encoder; the file is read, never executed.

        Args:
            checkpoint: a file, an upload, or an address `s3://…` that the service may read.
            name: free text.
            licence: free text, carried into every card.
            family: `psp` or `e4e`, for files that do not say how their codes are meant.
            register_decoder: also register the generator inside the file; its id is then
                `parents["generator"]`.
            on_bytes: called as a file is uploaded.
            idempotency_key: made up when left out.
        """
        body = {
            **self._place(checkpoint, on_bytes),
            "name": name,
            "licence": licence,
            "family": family,
            "register_decoder": register_decoder or None,
        }
        return self._create(body, idempotency_key)

    def train(
        self,
        generator: Reference,
        *,
        dataset: Reference | None = None,
        name: str = "",
        idempotency_key: str | None = None,
        **config: Any,
    ) -> Resource:
        """Train a ReStyle encoder for a generator.

        Args:
            generator: ready, or on its way.
            dataset: whose images it learns from beside the generator's samples, labels aside;
                ready, or on its way.
            name: free text.
            idempotency_key: made up when left out.
            config: fields of the API's EncoderTrainingConfig, e.g. `backbone="small", steps=2000`.
        """
        body = {
            "generator_id": id_of(generator),
            "dataset_id": _id_or_none(dataset),
            "name": name,
            "config": config or None,
        }
        return self._create(body, idempotency_key, "/train")


class Inversions(Collection):
    """Latents of a dataset's images in a generator."""

    name = "inversions"

    def create(
        self,
        dataset: Reference,
        generator: Reference,
        *,
        encoder: Reference | None = None,
        latents: StrPath | Upload | None = None,
        name: str = "",
        idempotency_key: str | None = None,
        **config: Any,
    ) -> Resource:
        """Find latents by optimisation, or take them from a file.

        Args:
            dataset: ready, or on its way.
            generator: ready, or on its way.
            encoder: whose guesses the search starts from; ready, or on its way.
            latents: a file of latents found elsewhere: ours, or one that ReStyle, HandsOff,
                DatasetGAN, EditGAN or a projector wrote.
            name: free text.
            idempotency_key: made up when left out.
            config: fields of the API's InversionConfig, e.g. `steps=150, distance="perceptual"`.
        """
        body = {
            "dataset_id": id_of(dataset),
            "generator_id": id_of(generator),
            "encoder_id": _id_or_none(encoder),
            "latents_upload_id": self._upload_id(latents) if latents is not None else None,
            "name": name,
            "config": config or None,
        }
        return self._create(body, idempotency_key)


class LabelGenerators(Collection):
    """Ensembles that label what a generator draws."""

    name = "label-generators"

    def create(
        self,
        inversion: Reference | None = None,
        *,
        dataset: Reference | None = None,
        generator: Reference | None = None,
        encoder: Reference | None = None,
        inversion_config: Mapping[str, Any] | None = None,
        like: Reference | None = None,
        exclude: Sequence[str] | None = None,
        max_distance: float | None = None,
        drop_worst: float | None = None,
        kind: str | None = None,
        name: str = "",
        idempotency_key: str | None = None,
        **config: Any,
    ) -> Resource:
        """Train on an inversion; or on a dataset and a generator, whose inversion is made first.

        Or like another label generator, e.g. without the images that its card suspects.

        Args:
            inversion: ready, or on its way.
            dataset: in place of an inversion, with `generator`.
            generator: in place of an inversion, with `dataset`.
            encoder: whose guesses that inversion starts from, with `dataset` only; ready, or on
                its way.
            inversion_config: fields of the API's InversionConfig, with `dataset` only.
            like: in place of all these: a label generator to train again, with what else is said.
            exclude: keys of images that are left out.
            max_distance: images are left out that are farther from their reconstruction.
            drop_worst: so many of the farthest are left out: their number, or their share.
            kind: which of the dataset's labels is learnt, e.g. `keypoints`; if left out, the first.
            name: free text.
            idempotency_key: made up when left out.
            config: fields of the API's LabelGeneratorConfig, e.g. `members=10, seed=1`.
        """
        body = {
            "inversion_id": _id_or_none(inversion),
            "dataset_id": _id_or_none(dataset),
            "generator_id": _id_or_none(generator),
            "encoder_id": _id_or_none(encoder),
            "inversion": inversion_config,
            "like": _id_or_none(like),
            "exclude": exclude,
            "max_distance": max_distance,
            "drop_worst": drop_worst,
            "kind": kind,
            "name": name,
            "config": config or None,
        }
        return self._create(body, idempotency_key)


class Generations(Collection):
    """Labelled images, made by the thousand."""

    name = "generations"

    def create(
        self,
        label_generator: Reference | Sequence[Reference],
        count: int,
        *,
        name: str = "",
        drop: float | None = None,
        uncertainty_mode: str | None = None,
        idempotency_key: str | None = None,
        **params: Any,
    ) -> Resource:
        """Make `count` labelled images in shards.

        Args:
            label_generator: ready, or on its way; several of one generator, each for another kind
                of label, label the same images.
            count: samples, after the most uncertain were left out.
            name: free text.
            drop: share of the most uncertain candidates to leave out, 0 to 0.9.
            uncertainty_mode: `paper` keeps all, and marks which ones the authors' ranks keep.
            idempotency_key: made up when left out.
            params: the API's others: `seed`, `psi`, `shard_size`, `image_format`, `labels`.
        """
        body = _generation(label_generator, count, drop, uncertainty_mode, params)
        return self._create({**body, "name": name}, idempotency_key)

    def dry_run(
        self,
        label_generator: Reference | Sequence[Reference],
        count: int,
        *,
        drop: float | None = None,
        uncertainty_mode: str | None = None,
        **params: Any,
    ) -> Estimate:
        """What `create` with the same arguments would cost, in time and bytes."""
        body = _generation(label_generator, count, drop, uncertainty_mode, params)
        given = {name: value for name, value in body.items() if value is not None}
        path = f"/v1/{self.name}"
        answer = self._transport.create(path, json=given, params={"dry_run": "true"})
        return Estimate.model_validate(answer)


class Evaluations(Collection):
    """What a dataset is worth: a network trained on it, tested on real labels."""

    name = "evaluations"

    def create(
        self,
        *,
        generation: Reference | None = None,
        dataset: Reference | None = None,
        validation: Reference,
        test: Reference,
        kind: str | None = None,
        name: str = "",
        idempotency_key: str | None = None,
        **recipe: Any,
    ) -> Resource:
        """Train on a generation or on a dataset, test on another dataset.

        Args:
            generation: what to train on; either this
            dataset: or this.
            validation: dataset on which the best checkpoint is chosen.
            test: dataset on which that one is measured.
            kind: of the labels; if left out, the only one there is, or segmentation.
            name: free text.
            idempotency_key: made up when left out.
            recipe: fields of the API's Recipe, e.g. `steps=3000`.
        """
        body = {
            "generation_id": _id_or_none(generation),
            "dataset_id": _id_or_none(dataset),
            "validation_dataset_id": id_of(validation),
            "test_dataset_id": id_of(test),
            "kind": kind,
            "name": name,
            "recipe": recipe or None,
        }
        return self._create(body, idempotency_key)


def _id_or_none(resource: Reference | None) -> str | None:
    return None if resource is None else id_of(resource)


def _generation(
    label_generator: Reference | Sequence[Reference],
    count: int,
    drop: float | None,
    mode: str | None,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """The body that a generation and its dry run share."""
    rule = {"mode": mode, "drop": drop}
    several = [label_generator] if isinstance(label_generator, str | Resource) else label_generator
    return {
        "label_generator_ids": [id_of(each) for each in several],
        "count": count,
        "uncertainty": {k: v for k, v in rule.items() if v is not None} or None,
        **params,
    }
