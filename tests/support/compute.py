"""The compute tasks on a tiny world: a small generator, and labelled images that it drew itself."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from support.contexts import task_context
from support.encoders import encoder_file, rosinality_shapes, small_config
from support.networks import small_generator

from models.checkpoints.neutral import save_generator
from models.data.images import encode_png
from models.data.kinds import kind_of
from models.data.manifest import DatasetItem, DatasetManifest, ItemFile
from models.data.statistics import counter_of
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec
from models.latents import mapped
from models.pixels import as_pixels
from models.seeding import philox
from workers import keys
from workers.params import (
    EvaluationParams,
    GenerationParams,
    InversionParams,
    RegisterEncoderParams,
    RegisterParams,
    TrainParams,
)
from workers.runtime import Runtime
from workers.storage.base import ObjectStore
from workers.tasks import (
    evaluate,
    finalize,
    generate,
    invert,
    plan,
    register,
    register_encoder,
    train,
)

SPEC = SegmentationSpec(classes=("dark", "red"))
POINTS = KeypointsSpec(names=("reddest", "darkest"))
DEPTH = DepthSpec(unit="m", smallest=1.0, largest=2.0)
ALL_KINDS = (SPEC, POINTS, DEPTH)
INVERSION = {"distance": "perceptual", "steps": 3, "starts": 8}
LABEL_GENERATOR = {
    "members": 2,
    "hidden": (4, 3),
    "batch": 16,
    "max_steps": 20,
    "calibration_samples": 100,
}
RECIPE = {"steps": 4, "batch": 4, "width": 4}


def points_of(red):
    """
    Where a channel uint8 [H, W] is highest and lowest: float32 [2, 3].
    """
    places = [np.unravel_index(at, red.shape) for at in (red.argmax(), red.argmin())]
    return np.array([(*place, 2) for place in places], dtype=np.float32)


LABELS = {
    "segmentation": lambda red: (red > np.median(red)).astype(np.uint8),
    "keypoints": points_of,
    "depth": lambda red: (1 + red / 255).astype(np.float32),
}
"""By kind: a channel uint8 [H, W] -> a label of it."""


@dataclass
class World:
    """
    A bucket of a tenant called `acme`, and steps of jobs that fill it.
    """

    store: ObjectStore
    folder: Path
    runtime: Runtime

    def context(self, kind, collection, resource_id, params, index=0, attempt=1, **resource):
        """
        A step that makes a resource.
        """
        scratch = self.folder / f"{collection}-{resource_id}-{index}-{attempt}"
        context = task_context(self.store, scratch, kind, collection, params, **resource)
        described = context.resource.model_copy(update={"id": resource_id})
        return replace(
            context, resource=described, index=index, attempt=attempt, _runtime=self.runtime
        )

    def document(self, path):
        """
        A JSON document of the tenant's.
        """
        return json.loads(self.store.get(f"acme/{path}"))

    def upload(self, upload_id, data):
        """
        Bytes that the tenant has uploaded.
        """
        self.store.put(f"acme/uploads/{upload_id}/content", data)

    def upload_generator(self, upload_id="upl_1", **options):
        """
        A small generator's file, uploaded.
        """
        path = self.folder / f"{upload_id}.safetensors"
        save_generator(small_generator(**options), path)
        self.upload(upload_id, path.read_bytes())

    def register(self, generator_id="gen_1", upload_id="upl_1", **resource):
        """
        Register an upload.
        """
        params = RegisterParams(upload_id=upload_id)
        context = self.context("register", "generators", generator_id, params, **resource)
        register.run(context)
        return context

    def upload_encoder(self, upload_id="upl_enc", **changes):
        """
        A small encoder's file with a generator of other weights inside, uploaded.
        """
        path = self.folder / f"{upload_id}.pt"
        decoder = rosinality_shapes(16, (6, 5, 4), w_dim=8, depth=2)
        config = small_config(**{"in_channels": 6, "input_size": (256, 256), **changes})
        torch.save(encoder_file(config, decoder, encoder_type="BackboneEncoder"), path)
        self.upload(upload_id, path.read_bytes())

    def register_encoder(self, encoder_id="enc_1", upload_id="upl_enc", **params):
        """
        Register an upload as an encoder.
        """
        asked = RegisterEncoderParams(upload_id=upload_id, **params)
        register_encoder.run(self.context("register_encoder", "encoders", encoder_id, asked))

    def dataset(self, dataset_id, n=3, first=0, specs=(SPEC,), size=None, **options):
        """
        Images that the generator drew, labelled by how red they are; a ready dataset.
        """
        generator = small_generator(**options)
        ws = mapped(generator, [philox("dataset", first + i) for i in range(n)])
        images = as_pixels(generator.synthesize(ws), size or generator.image_shape[1:])
        home, items = f"acme/datasets/{dataset_id}", []
        counters = {spec.kind: counter_of(spec) for spec in specs}
        for index, image in enumerate(images):
            labels = {spec: LABELS[spec.kind](image[..., 0]) for spec in specs}
            for spec, label in labels.items():
                counters[spec.kind].add(label)
            items.append(self._item(home, f"image-{index}", image, labels))
        manifest = DatasetManifest(
            labels=specs,
            items=tuple(items),
            statistics={kind: counter.statistics() for kind, counter in counters.items()},
        )
        self.store.put(f"{home}/manifest.json", manifest.model_dump_json().encode())

    def _item(self, home, key, image, labels):
        def stored(member, data):
            path = keys.item(key, member)
            self.store.put(f"{home}/{path}", data)
            return ItemFile(path=path, sha256=hashlib.sha256(data).hexdigest())

        kinds = {kind_of(spec): label for spec, label in labels.items()}
        files = [stored(kind.member, kind.encode(label)) for kind, label in kinds.items()]
        return DatasetItem(
            key=key,
            image=stored("png", encode_png(image)),
            labels={spec.kind: file for spec, file in zip(labels, files, strict=True)},
            height=image.shape[0],
            width=image.shape[1],
        )

    def invert(
        self, inversion_id="inv_1", attempt=1, latents_upload_id=None, encoder_id=None, **config
    ):
        """
        Invert the dataset.
        """
        params = InversionParams(
            dataset_id="dst_1",
            generator_id="gen_1",
            config={**INVERSION, **config},
            latents_upload_id=latents_upload_id,
            encoder_id=encoder_id,
        )
        invert.run(self.context("invert", "inversions", inversion_id, params, attempt=attempt))

    def train(
        self, label_generator_id="lbl_1", kind=None, inversion_id="inv_1", without=None, **config
    ):
        """
        Train a label generator on the inversion, `without` what the selection leaves out.
        """
        config = {**LABEL_GENERATOR, **config}
        asked = {"inversion_id": inversion_id, "kind": kind, "config": config, **(without or {})}
        params = TrainParams(**asked)
        context = self.context("train", "label-generators", label_generator_id, params)
        train.run(context)
        return context

    def generation(self, generation_id="gnn_1", index=0, attempt=1, **changes):
        """
        A step of a generation of seven samples in shards of three.
        """
        facts = {"label_generator_ids": ("lbl_1",), "count": 7, "shard_size": 3, "seed": 5}
        params = GenerationParams(**{**facts, **changes})
        return self.context("generate", "generations", generation_id, params, index, attempt)

    def generate(self, generation_id="gnn_1", **changes):
        """
        A whole generation.
        """
        shards = plan.run(self.generation(generation_id, **changes))
        for index in range(shards):
            generate.run(self.generation(generation_id, index, **changes))
        finalize.run(self.generation(generation_id, **changes))
        return shards

    def evaluate(self, evaluation_id="evl_1", **source):
        """
        Judge a generation or a dataset.
        """
        params = EvaluationParams(
            validation_dataset_id="dst_2", test_dataset_id="dst_3", recipe=RECIPE, **source
        )
        evaluate.run(self.context("evaluate", "evaluations", evaluation_id, params))
