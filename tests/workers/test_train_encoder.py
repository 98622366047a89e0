"""An encoder that is trained for a generator, and is then one like those that were registered."""

import hashlib
from dataclasses import replace

import pytest
from fakes import FakeStore
from support.compute import World
from support.contexts import Reports
from support.encoders import SHORT_TRAINING

from models.data.images import decode_image
from models.errors import InvalidImage
from workers.errors import TaskFailed
from workers.params import EncoderTrainingParams
from workers.runtime import Runtime
from workers.tasks import train_encoder


class Killed(Exception):
    """
    What ends a worker.
    """


def step(world, encoder_id, attempt=1, dataset_id=None, name="", **config):
    """
    An attempt at training an encoder.
    """
    params = EncoderTrainingParams(
        generator_id="gen_1", dataset_id=dataset_id, config={**SHORT_TRAINING, **config}
    )
    context = world.context(
        "train_encoder", "encoders", encoder_id, params, attempt=attempt, name=name
    )
    return replace(context, report=Reports())


def killed_at(context, done):
    """
    The same attempt, on a worker that ends at a step of the training.
    """

    def report(phase, at, total, unit=""):
        if (phase, at) == ("training", done):
            raise Killed

    return replace(context, report=report)


def snapshots(world, encoder_id):
    """
    The keys of what an attempt left for the next.
    """
    return [info.key for info in world.store.list(f"acme/encoders/{encoder_id}/snapshots/")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """
    A bucket with an encoder that was trained in one go, from samples and from a dataset.
    """
    world = World(FakeStore(), tmp_path_factory.mktemp("world"), Runtime("cpu"))
    world.upload_generator()
    world.register(licence="CC0-1.0")
    world.dataset("dst_1", size=(32, 32))
    train_encoder.run(step(world, "enc_1", dataset_id="dst_1", name="Tiny"))
    return world


@pytest.fixture(scope="module")
def card(made):
    """
    The card of that encoder.
    """
    return made.document("encoders/enc_1/card.json")


class TestCard:
    def test_is_that_of_an_encoder(self, made, card):
        """
        It says what one says that was registered, and its digest is that of the stored file.
        """
        made.upload("upl_enc", made.store.get("acme/encoders/enc_1/encoder.safetensors"))
        made.register_encoder("enc_again")
        again = made.document("encoders/enc_again/card.json")

        own = {"name", "licence", "generator_id"}
        assert {name: card[name] for name in again.keys() - own} == {
            name: again[name] for name in again.keys() - own
        }
        assert (
            card["sha256"]
            == hashlib.sha256(made.store.get("acme/encoders/enc_1/encoder.safetensors")).hexdigest()
        )
        assert (card["kind"], card["name"], card["backbone"]) == ("restyle-psp", "Tiny", "small")

    def test_says_how_it_learnt(self, card):
        """
        The validation curve has a point for each snapshot; the dataset's images were learnt from.
        """
        assert [point["step"] for point in card["training"]["curve"]] == [2, 4]
        assert card["training"]["kept"] in card["training"]["curve"]
        assert card["training"]["reals"] == 3
        assert card["training"]["config"]["steps"] == 4

    def test_knows_where_it_comes_from(self, made, card):
        """
        Generator and dataset are there by id and digest, and the licence that holds.
        """
        generator = made.document("generators/gen_1/card.json")
        manifest = made.store.get("acme/datasets/dst_1/manifest.json")

        assert card["lineage"] == {
            "generator": {"id": "gen_1", "sha256": generator["sha256"]},
            "dataset": {"id": "dst_1", "sha256": hashlib.sha256(manifest).hexdigest()},
        }
        assert card["licence"] == "CC0-1.0"
        assert (card["generator_id"], card["dataset_id"]) == ("gen_1", "dst_1")

    def test_has_a_picture(self, made, card):
        """
        Four samples, each beside its reconstruction and what differs.
        """
        data = made.store.get(f"acme/encoders/enc_1/{card['preview']}")
        height, width = decode_image(data, "preview").shape[:2]

        assert height > width

    def test_an_inversion_starts_from_it(self, made, card):
        """
        It is named as any other encoder is.
        """
        made.invert("inv_enc", encoder_id="enc_1", steps=0)

        start = made.document("inversions/inv_enc/report.json")["start"]
        assert start == {"from": "restyle-psp", "encoder_id": "enc_1", "sha256": card["sha256"]}


class TestLearning:
    def test_a_dataset_makes_a_difference(self, made, card):
        """
        Without one the encoder learns from samples alone, and is another.
        """
        train_encoder.run(step(made, "enc_alone"))

        alone = made.document("encoders/enc_alone/card.json")
        assert (alone["training"]["reals"], alone["dataset_id"]) == (0, None)
        assert alone["lineage"].keys() == {"generator"}
        assert alone["sha256"] != card["sha256"]

    def test_names_an_image_of_another_shape(self, made):
        """
        An image that is not framed like the generator's fails with its key.
        """
        made.dataset("dst_wide", size=(16, 32))

        with pytest.raises(InvalidImage, match="image-0"):
            train_encoder.run(step(made, "enc_wide", dataset_id="dst_wide"))

    def test_says_why_it_failed(self, tmp_path):
        """
        What no encoder can be trained for is named, and is no error of ours.
        """
        world = World(FakeStore(), tmp_path, Runtime("cpu"))
        world.upload_generator(size=8)
        world.register()

        with pytest.raises(TaskFailed, match=r"gen_1: input_size \(8, 8\)") as failure:
            train_encoder.run(step(world, "enc_1"))
        assert failure.value.code == "encoder_training_failed"


class TestAttempts:
    def test_the_next_goes_on_from_the_snapshot(self, made, card):
        """
        A worker that dies after the third step leaves the second; the next makes the last two,
        and the encoder is the one that was made in one go.
        """
        with pytest.raises(Killed):
            train_encoder.run(killed_at(step(made, "enc_2", dataset_id="dst_1"), done=3))
        assert snapshots(made, "enc_2") != []
        second = step(made, "enc_2", attempt=2, dataset_id="dst_1")
        train_encoder.run(second)

        steps = [done for phase, done, *_ in second.report if phase == "training"]
        found = made.document("encoders/enc_2/card.json")
        assert steps == [3, 4]
        assert (found["attempt"], found["sha256"]) == (2, card["sha256"])
        assert found["training"]["curve"] == card["training"]["curve"]

    def test_nothing_is_left_of_the_snapshots(self, made, card):
        """
        The encoder has taken their place.
        """
        assert snapshots(made, "enc_1") == []

    def test_a_second_attempt_finds_the_first(self, made, card):
        """
        Where the card is there, nothing is done again; what its writer had no time to remove goes.
        """
        before = dict(made.store.objects)
        made.store.put("acme/encoders/enc_1/snapshots/encoder-training.safetensors", b"left")
        second = step(made, "enc_1", attempt=2, dataset_id="dst_1")

        train_encoder.run(second)

        assert (made.store.objects, second.report) == (before, [])
