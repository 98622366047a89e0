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
from models.data.manifest import DatasetItem, DatasetManifest, ItemDigests
from models.data.summary import ClassCounts
from models.generation import as_pixels
from models.labels import SegmentationSpec
from models.latents import mapped
from models.seeding import philox
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
INVERSION = {"distance": "perceptual", "steps": 3, "starts": 8}
LABEL_GENERATOR = {
    "members": 2,
    "hidden": (4, 3),
    "batch": 16,
    "max_steps": 20,
    "calibration_samples": 100,
}
RECIPE = {"steps": 4, "batch": 4, "width": 4}


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

    def dataset(self, dataset_id, n=3, first=0, spec=SPEC, size=None, **options):
        """
        Images that the generator drew, labelled by how red they are; a ready dataset.
        """
        generator = small_generator(**options)
        ws = mapped(generator, [philox("dataset", first + i) for i in range(n)])
        images = as_pixels(generator.synthesize(ws), size or generator.image_shape[1:])
        items, counts = [], ClassCounts(spec)
        for index, image in enumerate(images):
            key, red = f"image-{index}", image[..., 0]
            mask = (red > np.median(red)).astype(np.uint8)
            counts.add(mask)
            items.append(self._item(f"acme/datasets/{dataset_id}", key, image, mask))
        manifest = DatasetManifest(label=spec, items=tuple(items), statistics=counts.statistics())
        document = manifest.model_dump_json().encode()
        self.store.put(f"acme/datasets/{dataset_id}/manifest.json", document)

    def _item(self, home, key, image, mask):
        files = {"image": encode_png(image), "mask": encode_png(mask)}
        names = {"image": f"items/{key}.png", "mask": f"items/{key}.mask.png"}
        for role, data in files.items():
            self.store.put(f"{home}/{names[role]}", data)
        digests = {role: hashlib.sha256(data).hexdigest() for role, data in files.items()}
        height, width = mask.shape
        return DatasetItem(
            key=key, **names, height=height, width=width, sha256=ItemDigests(**digests)
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

    def train(self, label_generator_id="lbl_1", **config):
        """
        Train a label generator on the inversion.
        """
        params = TrainParams(inversion_id="inv_1", config={**LABEL_GENERATOR, **config})
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
