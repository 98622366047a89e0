"""Images that are left out of a label generator, and the check of those that are not."""

import io

import numpy as np
import pytest
import torch
from fakes import FakeStore
from PIL import Image
from safetensors.torch import load
from support.compute import ALL_KINDS, World

from models.errors import TrainingImpossible
from workers.errors import TaskFailed
from workers.runtime import Runtime


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """
    A bucket with an inversion of four images that have labels of all kinds.
    """
    world = World(FakeStore(), tmp_path_factory.mktemp("world"), Runtime("cpu"))
    world.upload_generator()
    world.register()
    world.dataset("dst_1", n=4, specs=ALL_KINDS)
    world.invert()
    return world


def card(world, label_generator, **train):
    """
    The card of a new label generator.
    """
    world.train(label_generator, **train)
    return world.document(f"label-generators/{label_generator}/card.json")


def ensemble(world, label_generator):
    """
    The weights of a label generator.
    """
    found = world.document(f"label-generators/{label_generator}/card.json")
    path = f"acme/label-generators/{label_generator}/{found['ensemble']['path']}"
    return load(world.store.get(path))


def distances(world):
    """
    The distance of each image, by key.
    """
    report = world.document("inversions/inv_1/report.json")
    return {image["key"]: image["distance"] for image in report["images"]}


class TestLeavingOut:
    def test_says_what_was_left_out_and_why(self, made):
        """
        An excluded image, and the worst of the others; each with its distance.
        """
        known = distances(made)
        worst = max(set(known) - {"image-1"}, key=known.__getitem__)
        without = {"exclude": ["image-1"], "drop_worst": 1}

        found = card(made, "lbl_two", without=without)

        expected = [
            {"key": "image-1", "why": "excluded", "distance": known["image-1"]},
            {"key": worst, "why": "drop_worst", "distance": known[worst]},
        ]
        assert found["left_out"] == sorted(expected, key=lambda each: each["key"])

    def test_what_is_left_out_teaches_nothing(self, made):
        """
        The ensemble is that of the images that stay: of their pixels alone, with their latents.
        """
        limit = sorted(distances(made).values())[1]
        found = card(made, "lbl_near", without={"max_distance": limit})

        assert len(found["left_out"]) == 2
        assert found["training"]["held_out_pixels"] == int(0.05 * 2 * 256)
        assert found["agreement"] is None  # Of two images nobody knows which is wrong.
        named = {"exclude": [each["key"] for each in found["left_out"]]}
        card(made, "lbl_named", without=named)
        one, other = (ensemble(made, name) for name in ("lbl_near", "lbl_named"))
        assert all(torch.equal(one[key], other[key]) for key in one | other)

    def test_unknown_images_are_named(self, made):
        """
        A key that no image has fails with those that there are.
        """
        with pytest.raises(TaskFailed, match=r"dst_1 has no image nose; .* image-0, .*image-3"):
            made.train("lbl_unknown", without={"exclude": ["nose", "image-0"]})

    def test_two_images_must_stay(self, made):
        """
        A rule that leaves fewer fails, and says what the distances are.
        """
        with pytest.raises(TrainingImpossible, match="3 by drop_worst"):
            made.train("lbl_none", without={"drop_worst": 3})


class TestAgreement:
    @pytest.mark.parametrize("spec", ALL_KINDS, ids=lambda spec: spec.kind)
    def test_the_card_has_every_image_the_worst_first(self, made, spec):
        """
        Each image with its error and the figures of its kind; a picture shows them.
        """
        name = f"lbl_{spec.kind}"
        found = card(made, name, kind=spec.kind)["agreement"]

        errors = [image["error"] for image in found["images"]]
        assert errors == sorted(errors, reverse=True)
        assert {image["key"] for image in found["images"]} == set(distances(made))
        suspects = [image["key"] for image in found["images"] if image["suspect"]]
        assert found["suspects"] == suspects
        figure = {"segmentation": "miou", "keypoints": "distance", "depth": "nmse"}[spec.kind]
        assert all(image[figure] is not None for image in found["images"])
        sheet = made.store.get(f"acme/label-generators/{name}/{found['sheet']}")
        height, width = np.asarray(Image.open(io.BytesIO(sheet))).shape[:2]
        assert height > 4 * 160
        assert width > 4 * 160
