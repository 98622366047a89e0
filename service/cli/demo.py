"""`handsoff demo`: from a clone to a labelled dataset, seen from outside.

Starts HandsOff, then is a client like any other: everything from the first upload to the last
download goes over HTTP.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.cli.demo_report import Made, check_readable, figures, finish, read_command
from service.cli.demo_scale import GENERATION_SEED, SEEDS, Scale
from service.cli.failures import NotStarted
from service.cli.progress import Bar, Bars
from service.cli.session import Session
from service.client import Client, Resource, Segmentation
from service.supervisor.machine import assemble, in_background
from service.supervisor.memory import MemoryMeter
from service.supervisor.place import CannotStart, DataDirectory

LICENCE = "CC0-1.0"
STAGES = {
    "draw": "draw and label faces",
    "start": "start HandsOff",
    "generator": "register the generator and its encoder",
    "datasets": "upload labelled images",
    "inversion": "invert the images",
    "label_generator": "train the label generator",
    "generation": "generate labelled images",
    "download": "download the shards",
    "read": "read them with webdataset",
    "evaluation_synthetic": "train on what was generated",
    "evaluation_real16": "train on the real images",
}


def run_demo(
    here: Session, data_dir: Path, port: int, compute_workers: int | None, scale: Scale
) -> None:
    """Run the demo; its pictures, report and dataset are in `{data_dir}/demo` afterwards.

    Raises:
        NotStarted: HandsOff cannot be started here.
        DemoFailed: something that was made is not what it should be.
        ClientError: the service refused something, or a job failed.
    """
    data = DataDirectory(data_dir)
    folder = data.root / "demo"
    try:
        with data.locked(), Bars(here.remarks) as bars, ExitStack() as running:
            # What an earlier run left could be taken for this one's.
            shutil.rmtree(folder, ignore_errors=True)
            story = Story(scale, folder, bars)
            story.draw()
            with story.stage("start"):
                machine = assemble(data, here.remark, port=port, compute_workers=compute_workers)
                running.enter_context(in_background(machine))
            meter = running.enter_context(MemoryMeter(machine.supervisor.pids, ourselves="demo"))
            made = story.tell(running.enter_context(Client(machine.url)))
    except CannotStart as error:
        raise NotStarted(str(error)) from error
    except Exception:
        here.remark(f"The logs of all processes are in {data.logs}")
        raise
    finish(here, folder, made, story.seconds, meter)


class Story:
    """The demo's stages, and how long each took.

    Attributes:
        folder: where its results go.
        seconds: of each finished stage.
    """

    def __init__(self, scale: Scale, folder: Path, bars: Bars) -> None:
        self._scale = scale
        self._bars = bars
        self._faces = folder / "faces"
        self.folder = folder
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Bar]:
        """A stage: a bar while it lasts, its seconds afterwards."""
        number = list(STAGES).index(name) + 1
        bar = self._bars.add(f"{number:2}/{len(STAGES)} {STAGES[name]}")
        yield bar
        self.seconds[name] = bar.finish()

    def draw(self) -> None:
        """Draw labelled faces as a user would have them: two folders, two archives.

        Raises:
            NotStarted: what draws them is not installed, or failed.
        """
        scale, faces = self._scale, self._faces
        with self.stage("draw") as bar:
            faces.mkdir(parents=True, exist_ok=True)
            for name, count in (
                ("training", scale.images),
                ("validation", scale.validation),
                ("test", scale.test),
            ):
                bar.note(f"{count} for {name}")
                kind = "--out" if name == "training" else "--zip"
                target = faces / (name if name == "training" else f"{name}.zip")
                _draw(kind, str(target), "--count", str(count), "--seed", str(SEEDS[name]))

    def tell(self, client: Client) -> Made:
        """Everything between the first upload and the last download."""
        scale = self._scale
        generator, encoder = self._networks(client)
        training, validation, test = self._datasets(client)
        inversion = self._ready(
            client,
            "inversion",
            client.inversions.create(
                training, generator, encoder=encoder, name="faces", **scale.inversion
            ),
        )
        labels = self._ready(
            client,
            "label_generator",
            client.label_generators.create(inversion, name="faces", **scale.label_generator),
        )
        generation = self._generation(client, labels)
        tests = {"validation": validation, "test": test, **scale.recipe}
        synthetic = client.evaluations.create(generation=generation, **tests)
        synthetic = self._ready(client, "evaluation_synthetic", synthetic)
        real = client.evaluations.create(dataset=training, **tests)
        real = self._ready(client, "evaluation_real16", real)
        picture = client.inversions.read(inversion, figures(inversion)["overview"])
        (self.folder / "inversions.png").write_bytes(picture)
        return Made(scale.images, labels, inversion, generation, synthetic, real)

    def _networks(self, client: Client) -> tuple[Resource, Resource]:
        name = "demo faces"
        with self.stage("generator") as bar:
            files = [shipped(f"{what}.safetensors") for what in ("generator", "encoder")]
            first, second = (client.uploads.create(file, bar.bytes) for file in files)
            generator = client.generators.create(first, name=name, licence=LICENCE)
            encoder = client.encoders.create(second, name=name, licence=LICENCE)
            return client.wait(generator, bar.job), client.wait(encoder, bar.job)

    def _datasets(self, client: Client) -> tuple[Resource, Resource, Resource]:
        """The training images one by one, the others as archives."""
        folder = self._faces / "training"
        label = Segmentation.model_validate(json.loads((folder / "classes.json").read_text()))
        images = sorted((folder / "images").glob("*.png"))
        with self.stage("datasets") as bar:
            training = client.datasets.create(label, name="faces, labelled", licence=LICENCE)
            for number, image in enumerate(images, 1):
                client.datasets.add(training, [(image, folder / "masks" / image.name)])
                bar.count(number, len(images), "images")
            started = [
                client.datasets.seal(training),
                *(
                    client.datasets.create(
                        label, archive=self._faces / f"{name}.zip", name=name, licence=LICENCE
                    )
                    for name in ("validation", "test")
                ),
            ]
            training, validation, test = [client.wait(dataset, bar.job) for dataset in started]
        return training, validation, test

    def _generation(self, client: Client, labels: Resource) -> Resource:
        """Generate, and download at once, as a pipeline would."""
        scale = self._scale
        generation = client.generations.create(
            labels,
            scale.samples,
            name="demo faces",
            seed=GENERATION_SEED,
            shard_size=scale.shard_size,
        )
        generation = self._ready(client, "generation", generation)
        with self.stage("download") as bar:
            client.fetch(generation, self.folder / "dataset", bar.bytes)
        with self.stage("read"):
            check_readable(read_command(self.folder, generation), scale.samples)
        return generation

    def _ready(self, client: Client, stage: str, resource: Resource) -> Resource:
        """Wait for a resource in a stage of its own."""
        with self.stage(stage) as bar:
            return client.wait(resource, bar.job)


def shipped(name: str) -> Path:
    """A file of the demo's networks.

    Raises:
        NotStarted: it is missing.
    """
    spec = importlib.util.find_spec("models.demo")  # Found, not imported.
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        file = Path(folder, name)
        if file.is_file():
            return file
    raise NotStarted(f"models/demo/{name} is missing; take it from the repository")


def _draw(*arguments: str) -> None:
    """Draw faces, in a process of its own: it needs PyTorch, which we must not import."""
    command = [sys.executable, "-m", "models.demo.export", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NotStarted(
            f"drawing the demo's faces failed: {last}; "
            "it needs the packages of `pip install '.[worker]'`, which `make demo` installs"
        )
