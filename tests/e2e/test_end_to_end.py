"""The whole of HandsOff on real parts: every process, every stage, over HTTP only."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from service.cli.demo import Story, shipped
from service.cli.demo_scale import QUICK
from service.cli.progress import Bars
from service.cli.session import Session
from service.client import BadRequest, Client, JobFailed, Segmentation
from service.supervisor.machine import assemble, in_background
from service.supervisor.place import DataDirectory

pytestmark = pytest.mark.e2e

SEED = 7
PATIENCE = 300  # Seconds for one job, on a machine that has much else to do.
GIB = 2**30


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """
    All processes of HandsOff, which notice a dead worker soon.
    """
    data = DataDirectory(tmp_path_factory.mktemp("handsoff"))
    patch = pytest.MonkeyPatch()
    patch.setenv("HANDSOFF_LEASE_SECONDS", "8")
    patch.setenv("HANDSOFF_REAP_SECONDS", "0.5")
    for name in ("HANDSOFF_REDIS_URL", "HANDSOFF_STORE_URL"):
        patch.delenv(name, raising=False)
    events = []
    with data.locked(), in_background(assemble(data, events.append, port=0)) as machine:
        yield machine
    patch.undo()


@pytest.fixture(scope="module")
def client(machine):
    """
    A client of its service.
    """
    with Client(machine.url) as client:
        yield client


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """
    Four labelled faces in folders, a few more in two archives.
    """
    folder = tmp_path_factory.mktemp("faces")
    with Bars(Session().remarks) as bars:
        Story(QUICK, folder, bars).draw()
    return folder / "faces"


@pytest.fixture(scope="module")
def label(faces) -> Segmentation:
    """
    What the faces' masks mean.
    """
    return Segmentation.model_validate_json((faces / "training" / "classes.json").read_text())


@pytest.fixture(scope="module")
def training(client, faces, label):
    """
    The four labelled faces, sent one by one.
    """
    folder = faces / "training"
    images = sorted((folder / "images").glob("*.png"))
    dataset = client.datasets.create(label, name="faces", licence="CC0-1.0")
    client.datasets.add(dataset, [(image, folder / "masks" / image.name) for image in images])
    return client.wait(client.datasets.seal(dataset), timeout=PATIENCE)


@pytest.fixture(scope="module")
def label_generator(client, training):
    """
    A label generator, with everything it is made of asked for at once.
    """
    generator = client.generators.create(
        shipped("generator.safetensors"), name="demo", licence="CC0-1.0"
    )
    inversion = client.inversions.create(training, generator, **QUICK.inversion)
    labels = client.label_generators.create(inversion, **QUICK.label_generator)
    return client.wait(labels, timeout=PATIENCE)


@pytest.fixture(scope="module")
def generate(client, label_generator):
    """
    Makes 64 labelled images in two shards, from the same seed each time.
    """

    def generate(on_progress=None):
        made = client.generations.create(
            label_generator, QUICK.samples, seed=SEED, shard_size=QUICK.shard_size
        )
        return client.wait(made, on_progress, timeout=PATIENCE)

    return generate


@pytest.fixture(scope="module")
def generation(machine, generate):
    """
    A generation whose worker was killed in between.
    """
    killed = []

    def kill_once(job):
        if job.state == "running" and not killed:
            killed.append(machine.supervisor.pids()["compute-0"])
            os.kill(killed[0], signal.SIGKILL)

    made = generate(kill_once)
    assert killed, "the job was never seen running"
    assert machine.supervisor.pids()["compute-0"] != killed[0]
    return made


def digests(generation) -> list[str]:
    """
    The SHA-256 of each shard.
    """
    return [shard["sha256"] for shard in generation.result["shards"]]


class TestPipeline:
    def test_a_killed_worker_costs_nothing(self, generation):
        """
        A generation whose worker was killed halfway ends with as many samples as were asked for.
        """
        assert generation.state == "ready"
        assert generation.result["samples"] == 64
        assert [shard["samples"] for shard in generation.result["shards"]] == [32, 32]

    def test_the_same_seed_makes_the_same_bytes(self, generation, generate):
        """
        A second generation of the same seed has the same shards, byte for byte.
        """
        again = generate()

        assert again.id != generation.id
        assert digests(again) == digests(generation)
        assert len(set(digests(again))) == 2

    def test_shards_are_what_the_manifest_says(self, client, generation, tmp_path):
        """
        The downloaded shards hold images and masks of one size, under the labels' class ids.
        """
        client.fetch(generation, tmp_path)

        keys = []
        for shard in generation.result["shards"]:
            file = tmp_path / shard["path"]
            assert hashlib.sha256(file.read_bytes()).hexdigest() == shard["sha256"]
            with tarfile.open(file) as tar:
                for member in tar.getmembers():
                    key, _, extension = member.name.partition(".")
                    if extension == "png":
                        keys.append(int(key))
                        image = Image.open(tar.extractfile(member))
                        mask = Image.open(tar.extractfile(f"{key}.mask.png"))
                        assert (image.mode, mask.mode) == ("RGB", "L")
                        assert image.size == mask.size == (64, 64)
                        assert mask.getextrema()[1] < len(generation.result["label"]["classes"])
        assert keys == list(range(64))

    def test_licence_and_lineage_are_carried(self, client, generation):
        """
        The licence of generator and dataset holds for what was made from them, and the card and
        the manifest say so; the manifest also says what all was made from.
        """
        card = client.generations.read(generation, "README.md").decode()

        assert "CC0-1.0" in generation.result["licence"]
        assert "cc0-1.0" in card.lower()
        assert generation.result["lineage"]

    def test_what_was_generated_can_be_learnt_from(
        self, client, generation, training, faces, label
    ):
        """
        A network trained on the generation, and one trained on the real images, get their scores.
        """
        validation, test = (
            client.datasets.create(label, archive=faces / f"{name}.zip", name=name)
            for name in ("validation", "test")
        )
        tests = {"validation": validation, "test": test, **QUICK.recipe}
        started = [
            client.evaluations.create(generation=generation, **tests),
            client.evaluations.create(dataset=training, **tests),
        ]

        for evaluation in (client.wait(each, timeout=PATIENCE) for each in started):
            assert 0 < evaluation.result["miou"] < 1
            assert set(evaluation.result["per_class_iou"]) == set(label.classes)

    def test_a_job_that_cannot_succeed_says_why(self, client, faces, label, tmp_path):
        """
        An archive that is none fails its job, with a reason that names it.
        """
        (tmp_path / "faces.zip").write_bytes(b"no zip at all")
        dataset = client.datasets.create(label, archive=tmp_path / "faces.zip")

        with pytest.raises(JobFailed) as caught:
            client.wait(dataset, timeout=PATIENCE)

        assert caught.value.code != "unknown"

    def test_wrong_requests_are_refused_at_once(self, client, label_generator):
        """
        Nothing is started for a generation of no images.
        """
        with pytest.raises(BadRequest, match="count"):
            client.generations.create(label_generator, 0)


class TestDemo:
    def test_runs_from_end_to_end(self, tmp_path):
        """
        `handsoff demo --quick` ends well, leaves its report, pictures and shards, and no process.
        """
        command = [sys.executable, "-m", "service.cli.main", "demo", "--quick", "--json"]
        data = tmp_path / "data"

        done = subprocess.run(
            [*command, "--data-dir", str(data)], capture_output=True, text=True, timeout=800
        )

        assert done.returncode == 0, done.stderr[-3000:]
        report = json.loads(done.stdout)
        assert report == json.loads((data / "demo" / "report.json").read_text())
        assert (report["images"], report["generated"]) == (4, 64)
        assert set(report["miou"]) == {"synthetic", "real16", "exact2000"}
        assert {"psnr", "perceptual", "backbone"} <= set(report["inversion"])
        assert 0 < report["memory"]["peak_together_bytes"] < 4 * GIB
        for shard in report["shards"]:
            content = (data / "demo" / shard["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == shard["sha256"]
        for picture in ("overview.png", "inversions.png"):
            with Image.open(data / "demo" / picture) as opened:
                opened.verify()
        assert not (data / "up.json").exists()
