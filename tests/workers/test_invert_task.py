"""An inversion as a job: killed and gone on with, and of pictures that were fitted to a canvas."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from fakes import FakeStore
from pydantic import ValidationError
from safetensors.torch import load
from support.compute import INVERSION, World

from models.data.fitting import Canvas, Resize, fit
from models.data.images import decode_image, encode_png
from models.data.labelled import Labelled
from models.data.manifest import DatasetManifest, ItemFile
from workers.params import InversionParams
from workers.runtime import Runtime
from workers.tasks import invert

ROWS = (4, 12)
"""Of 16, that are content."""


class Killed(Exception):
    """
    What ends a worker.
    """


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """
    A bucket with a generator of 16 x 16 pixels and images that it drew.
    """
    world = World(FakeStore(), tmp_path_factory.mktemp("world"), Runtime("cpu"))
    world.upload_generator()
    world.register()
    world.dataset("dst_1", n=2)
    return world


def step(world, inversion_id, dataset_id="dst_1", attempt=1, report=None, **config):
    """
    An attempt at an inversion.
    """
    asked = {**INVERSION, **config}
    params = InversionParams(dataset_id=dataset_id, generator_id="gen_1", config=asked)
    context = world.context("invert", "inversions", inversion_id, params, attempt=attempt)
    return replace(context, report=report or context.report)


def latents(world, inversion_id):
    """
    What was found.
    """
    path = world.document(f"inversions/{inversion_id}/report.json")["latents"]["path"]
    return load(world.store.get(f"acme/inversions/{inversion_id}/{path}"))["latents"]


def snapshots(world, inversion_id):
    """
    What an attempt left for the next.
    """
    return list(world.store.list(f"acme/inversions/{inversion_id}/snapshots/"))


def test_goes_on_where_a_killed_attempt_was(made):
    """
    The second attempt takes the steps that are left, and ends as one that was never killed.
    """
    invert.run(step(made, "inv_whole", steps=40))
    seen = []

    def dying(phase, done, total, unit=""):
        if (phase, done) == ("optimising", 30):
            raise Killed

    def watching(phase, done, total, unit=""):
        seen.append((phase, done))

    with pytest.raises(Killed):
        invert.run(step(made, "inv_killed", steps=40, report=dying))
    assert snapshots(made, "inv_killed")
    invert.run(step(made, "inv_killed", attempt=2, steps=40, report=watching))

    assert next(done for phase, done in seen if phase == "optimising") == 26
    assert latents(made, "inv_killed").equal(latents(made, "inv_whole"))
    assert not snapshots(made, "inv_killed")


def barred(world, dataset_id, colour):
    """
    The dataset as one whose pictures fill ROWS of the canvas; bars of a colour around them.
    """
    manifest = DatasetManifest.model_validate(world.document("datasets/dst_1/manifest.json"))
    canvas = Canvas(height=16, width=16, rows=ROWS)
    blank = Labelled("a", np.zeros((8, 16, 3), np.uint8), {}, "a.png")
    record = fit(blank, (), Resize(), canvas).fit
    items = []
    for item in manifest.items:
        picture = decode_image(world.store.get(f"acme/datasets/dst_1/{item.image.path}"), "image")
        picture[: ROWS[0]] = picture[ROWS[1] :] = colour
        data = encode_png(picture)
        image = ItemFile(path=item.image.path, sha256=sha256(data).hexdigest())
        items.append(item.model_copy(update={"fit": record, "image": image}))
        world.store.put(f"acme/datasets/{dataset_id}/{image.path}", data)
        for label in item.labels.values():
            data = world.store.get(f"acme/datasets/dst_1/{label.path}")
            world.store.put(f"acme/datasets/{dataset_id}/{label.path}", data)
    fitted = manifest.model_copy(update={"items": tuple(items)})
    world.store.put(f"acme/datasets/{dataset_id}/manifest.json", fitted.model_dump_json().encode())


def test_bars_around_a_fitted_picture_do_not_count(made):
    """
    Whatever lies beside the content, the latents are the same; they are others without the record.
    """
    barred(made, "dst_black", 0)
    barred(made, "dst_white", 255)

    for name in ("black", "white"):
        invert.run(step(made, f"inv_{name}", dataset_id=f"dst_{name}"))
    invert.run(step(made, "inv_all"))

    assert latents(made, "inv_black").equal(latents(made, "inv_white"))
    assert not latents(made, "inv_black").equal(latents(made, "inv_all"))


@pytest.mark.parametrize("start", ["samples", "best_of", "mean"])
def test_says_what_it_started_from(made, start):
    """
    The report names the way that was asked for, and the settings that follow from it.
    """
    invert.run(step(made, f"inv_{start}", start=start, steps=0))

    report = made.document(f"inversions/inv_{start}/report.json")
    assert report["start"] == {"from": start}
    assert (report["config"]["start"], report["config"]["joint_share"]) == (start, 0.5)


def test_reports_how_near_the_starts_were_and_the_latents_are(made):
    """
    Each figure before and after, of each image and on average, and the ways that were compared.
    """
    invert.run(step(made, "inv_report", steps=40))

    report = made.document("inversions/inv_report/report.json")
    for figures in (*report["images"], report["summary"]):
        assert figures["distance"] < figures["distance_start"]
        assert figures["psnr"] > figures["psnr_start"]
        assert figures["mse"] < figures["mse_start"]
        assert figures["ssim"] != figures["ssim_start"]
        assert figures["seconds"] > 0
    assert set(report["starts"]) == {"samples", "best_of", "mean"}
    assert report["starts"]["samples"] == pytest.approx(report["summary"]["distance_start"])


def overview(world, inversion_id):
    """
    The picture of an inversion: its columns [rows of pixels, 4 pictures, pixels of each].
    """
    path = world.document(f"inversions/{inversion_id}/report.json")["overview"]
    sheet = decode_image(world.store.get(f"acme/inversions/{inversion_id}/{path}"), "overview")
    gap = 4
    return sheet[:, gap:].reshape(len(sheet), 4, -1, 3)


def test_shows_real_start_reconstruction_and_difference(made):
    """
    Four pictures a row; without steps the start is the reconstruction.
    """
    invert.run(step(made, "inv_still", steps=0))
    invert.run(step(made, "inv_moved", steps=40))

    still, moved = overview(made, "inv_still"), overview(made, "inv_moved")
    rows = slice(48, 48 + 192)
    assert np.array_equal(still[rows, 1], still[rows, 2])
    assert not np.array_equal(moved[rows, 1], moved[rows, 2])
    assert np.array_equal(still[rows, 1], moved[rows, 1])


def test_an_encoders_guess_needs_an_encoder():
    """
    That is refused before there is a job.
    """
    with pytest.raises(ValidationError, match="needs an encoder_id"):
        InversionParams(dataset_id="dst_1", generator_id="gen_1", config={"start": "encoder"})
