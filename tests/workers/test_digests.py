"""Wrong bytes in the store are noticed when they are read."""

import hashlib
import json

import pytest
from fakes import FakeStore
from safetensors.torch import save
from support import generations
from support.compute import World
from torch import zeros

from workers import keys
from workers.digests import checked, checked_file
from workers.errors import Retryable, TaskFailed
from workers.params import EvaluationParams, RegisterParams
from workers.runtime import Runtime
from workers.tasks import evaluate, parents, sources

RIGHT = hashlib.sha256(b"right").hexdigest()


@pytest.fixture
def world(tmp_path):
    """
    A world whose datasets have the classes of small generations.
    """
    world = World(FakeStore(), tmp_path, Runtime("cpu", threads=1))
    for dataset in ("dst_2", "dst_3"):
        world.dataset(dataset, specs=(generations.SPEC,))
    return world


def evaluation(world):
    """
    The step of an evaluation of the generation `gnn_1`.
    """
    params = EvaluationParams(
        generation_id="gnn_1", validation_dataset_id="dst_2", test_dataset_id="dst_3"
    )
    return world.context("evaluate", "evaluations", "evl_1", params)


def put_generation(world):
    """
    A ready generation of two shards.
    """
    fragments = generations.write_generation(world.folder, 5)
    home = "acme/generations/gnn_1"
    for fragment in fragments:
        world.store.put(f"{home}/{fragment.path}", (world.folder / fragment.path).read_bytes())
    document = generations.manifest(fragments).model_dump_json().encode()
    world.store.put(f"{home}/{keys.FINAL['generations']}", document)
    return [f"{home}/{fragment.path}" for fragment in fragments]


def spoil(store, key):
    """
    Turn one bit in the middle of an object.
    """
    data = bytearray(store.get(key))
    data[len(data) // 2] ^= 1
    store.put(key, bytes(data))


def test_right_bytes_pass(tmp_path):
    """
    Bytes and files that have their digest are given back.
    """
    path = tmp_path / "a"
    path.write_bytes(b"right")

    assert checked(b"right", RIGHT, "t/a") == b"right"
    assert path == checked_file(path, RIGHT, "t/a")


def test_wrong_bytes_are_tried_again_and_named(tmp_path):
    """
    Others are a passing fault that names the object and both digests.
    """
    path = tmp_path / "a"
    path.write_bytes(b"wrong")

    for check in (
        lambda: checked(b"wrong", RIGHT, "t/a"),
        lambda: checked_file(path, RIGHT, "t/a"),
    ):
        with pytest.raises(Retryable, match=f"^t/a is .* not {RIGHT}"):
            check()


def test_a_spoilt_picture_of_a_dataset(world):
    """
    A dataset's pictures and labels are read as its manifest names them.
    """
    context = evaluation(world)
    manifest = parents.dataset(context, "dst_2")
    assert len(list(parents.samples(context, "dst_2", manifest))) == 3

    for entry in (manifest.items[1].image, manifest.items[1].labels["segmentation"]):
        key = f"acme/datasets/dst_2/{entry.path}"
        spoil(world.store, key)
        with pytest.raises(Retryable, match=key):
            list(parents.samples(context, "dst_2", manifest))
        spoil(world.store, key)


def test_spoilt_latents(world):
    """
    So are an inversion's latents.
    """
    context, key = evaluation(world), "acme/inversions/inv_1/latents.safetensors"
    data = save({"latents": zeros(1, 2, 3)})
    world.store.put(key, data)
    report = {
        "latents": {"path": "latents.safetensors", "sha256": hashlib.sha256(data).hexdigest()}
    }
    assert parents.latents(context, "inv_1", report).shape == (1, 2, 3)

    spoil(world.store, key)

    with pytest.raises(Retryable, match=key):
        parents.latents(context, "inv_1", report)


def test_a_spoilt_shard(world):
    """
    And a generation's shards, before anything is learnt from them.
    """
    shard = put_generation(world)[1]
    spoil(world.store, shard)

    with pytest.raises(Retryable, match=shard):
        evaluate.run(evaluation(world))


def test_an_upload_that_is_not_what_was_announced(world):
    """
    What was sent past the service, straight to the bucket, must have the announced digest where
    there is one: else its job fails and says so.
    """
    context = world.context("register", "generators", "gen_1", RegisterParams(upload_id="upl_1"))
    world.upload("upl_1", b"wrong")
    assert sources.upload(context, "upl_1").read_bytes() == b"wrong"

    place = "acme/uploads/upl_1/upload.json"
    world.store.put(place, json.dumps({"sha256": None}).encode())
    assert sources.upload(context, "upl_1").read_bytes() == b"wrong"

    world.store.put(place, json.dumps({"sha256": RIGHT}).encode())
    with pytest.raises(TaskFailed, match="upl_1") as refused:
        sources.upload(context, "upl_1")
    assert refused.value.code == "upload_damaged"
