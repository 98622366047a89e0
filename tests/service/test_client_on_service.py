"""The client against the real API: what one sends is what the other understands."""

import hashlib
import threading

import httpx
import numpy as np
import pytest
from PIL import Image

from service.client import BadRequest, Client, JobCancelled, JobFailed, Misused, NotFound
from workers.jobs import JobError, JobState


class InProcess(httpx.BaseTransport):
    """
    Hands a client's requests to the application under test, without a socket.
    """

    def __init__(self, api) -> None:
        self._api = api

    def handle_request(self, request):
        """
        See httpx.
        """
        answer = self._api.send(
            request.method, str(request.url), headers=request.headers, content=request.read()
        )
        headers = {**answer.headers, "content-length": str(len(answer.content))}
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)


@pytest.fixture
def client(api):
    """
    A client of the real application; tests play the workers through `api`.
    """
    with Client("http://testserver", transport=InProcess(api)) as client:
        yield client


@pytest.fixture
def pair(tmp_path):
    """
    An image and its mask of the classes 0 and 1.
    """
    pixels = np.zeros((8, 8), np.uint8)
    Image.fromarray(np.stack([pixels] * 3, -1)).save(tmp_path / "face.png")
    Image.fromarray(pixels + 1).save(tmp_path / "mask.png")
    return tmp_path / "face.png", tmp_path / "mask.png"


class TestDatasets:
    def test_item_by_item(self, client, pair):
        """
        A dataset is opened, filled and sealed; then a job is on its way.
        """
        dataset = client.datasets.create(["background", "face"], name="faces", licence="CC0")
        added = client.datasets.add(dataset, [pair])
        sealed = client.datasets.seal(dataset, idempotency_key="once")
        assert client.datasets.seal(dataset, idempotency_key="once").job == sealed.job

        assert (dataset.state, dataset.job) == ("open", None)
        assert added == 1
        assert (sealed.state, sealed.job.kind) == ("pending", "ingest")
        assert (sealed.name, sealed.licence, sealed.collection) == ("faces", "CC0", "datasets")
        assert {file.path for file in client.datasets.files(dataset)} >= {"items/face.png"}

    def test_from_an_archive(self, client, tmp_path):
        """
        An archive is uploaded and named in one call.
        """
        (tmp_path / "faces.zip").write_bytes(b"PK")

        dataset = client.datasets.create(["a", "b"], archive=tmp_path / "faces.zip")

        assert dataset.state == "pending"
        assert dataset.spec["upload_id"].startswith("upl_")

    def test_a_bad_file_is_named_with_a_remedy(self, client, pair, tmp_path):
        """
        What the service says of a file that is no image reaches the caller.
        """
        (tmp_path / "bad.png").write_bytes(b"no image")
        dataset = client.datasets.create(["background", "face"])

        with pytest.raises(BadRequest, match=r"bad\.png") as caught:
            client.datasets.add(dataset, [(tmp_path / "bad.png", pair[1])])

        assert caught.value.code == "invalid_image"


class TestGenerators:
    def test_upload_register_preview(self, client, api, tmp_path):
        """
        A checkpoint becomes a generator with a card and a picture.
        """
        (tmp_path / "ffhq.pkl").write_bytes(b"weights")

        generator = client.generators.create(tmp_path / "ffhq.pkl", name="FFHQ", licence="CC0")
        api.put_file("generators", generator.id, "preview.png", b"png")
        api.finish("generators", generator.id, {"preview": "preview.png"})

        assert (generator.job.kind, generator.name) == ("register", "FFHQ")
        assert client.generators.preview(generator) == b"png"


class TestEncoders:
    def test_upload_register_and_invert(self, client, api, tmp_path):
        """
        An encoder's file becomes an encoder and a generator, and an inversion starts from it.
        """
        (tmp_path / "e4e.pt").write_bytes(b"weights")

        encoder = client.encoders.create(tmp_path / "e4e.pt", family="e4e", register_decoder=True)
        generator = encoder.parents["generator"]
        inversion = client.inversions.create(api.dataset(), generator, encoder=encoder)

        assert (encoder.collection, encoder.job.kind) == ("encoders", "register_encoder")
        assert client.encoders.get(encoder).spec["family"] == "e4e"
        assert inversion.parents["encoder"] == encoder.id

    def test_train_and_invert(self, client, api):
        """
        An encoder is trained for a generator, and an inversion may wait for it.
        """
        generator, dataset = api.generator(), client.datasets.get(api.dataset())

        encoder = client.encoders.train(generator, dataset=dataset, name="faces", steps=10)
        inversion = client.inversions.create(dataset, generator, encoder=encoder)

        assert (encoder.collection, encoder.job.kind) == ("encoders", "train_encoder")
        assert encoder.parents == {"generator": generator, "dataset": dataset.id}
        assert (encoder.name, encoder.spec["config"]["steps"]) == ("faces", 10)
        assert encoder.job.id in inversion.job.after

    def test_an_address_is_not_uploaded(self, client, api):
        """
        The service is told the address as it is, and says which setting would allow it.
        """
        with pytest.raises(BadRequest, match="HANDSOFF_IMPORT_PREFIXES") as caught:
            client.generators.create("s3://models/a.pkl")

        assert caught.value.code == "source_not_allowed"
        assert api.stored() == []


class TestJobs:
    def test_a_wait_ends_when_the_job_does(self, client, api):
        """
        Waiting sees each change and returns the ready resource.
        """
        generator = client.generators.get(api.generator())
        work = threading.Thread(target=api.finish, args=("generators", generator.id, {"name": "x"}))
        told = []

        def begin(job):
            told.append(job.state)
            if len(told) == 1:
                work.start()

        ready = client.wait(generator, begin)
        work.join()

        assert (ready.state, ready.result) == ("ready", {"name": "x"})
        assert (told[0], told[-1]) == ("queued", "succeeded")

    def test_a_failure_is_told(self, client, api):
        """
        The reason that a worker gives is the reason that the caller gets.
        """
        generator = client.generators.get(api.generator())
        api.run(generator.id)
        api.step(generator.id, JobState.FAILED, JobError(code="unknown_family", message="no GAN"))

        with pytest.raises(JobFailed, match="no GAN") as caught:
            client.wait(generator)

        assert caught.value.code == "unknown_family"

    def test_cancelling(self, client, api):
        """
        A queued job can be cancelled; whoever waits for it learns that.
        """
        generator = client.generators.get(api.generator())

        client.jobs.cancel(generator.job.id)

        with pytest.raises(JobCancelled):
            client.wait(generator)

    def test_listing(self, client, api):
        """
        Jobs are listed newest first, by kind.
        """
        first, second = api.generator(), api.generator()

        found = list(client.jobs.list(kind="register"))

        assert [job.id.partition("_")[2] for job in found] == [
            second.partition("_")[2],
            first.partition("_")[2],
        ]
        assert list(client.jobs.list(state="failed")) == []


class TestChain:
    def test_every_step_can_be_asked_for_at_once(self, client, api):
        """
        Each resource may be named by the next before it is ready.
        """
        dataset, generator = api.dataset(), api.generator()

        inversion = client.inversions.create(
            dataset, generator, steps=150, distance="perceptual", name="i"
        )
        labels = client.label_generators.create(inversion, members=3)
        generation = client.generations.create(labels, 64, seed=7, drop=0.2, shard_size=32)
        evaluation = client.evaluations.create(
            generation=generation, validation=dataset, test=dataset, steps=20
        )

        assert inversion.spec["config"]["distance"] == "perceptual"
        assert labels.spec["config"]["members"] == 3
        assert generation.spec["uncertainty"] == {"mode": "default", "drop": 0.2}
        assert evaluation.parents["generation"] == generation.id

    def test_a_label_generator_from_a_dataset(self, client, api):
        """
        A dataset and a generator are enough; the inversion is made first, from an encoder's guess
        where one is named.
        """
        encoder = client.encoders.get(api.made("encoders", {"upload_id": api.upload()}))

        labels = client.label_generators.create(
            dataset=api.dataset(),
            generator=api.generator(),
            encoder=encoder,
            inversion_config={"distance": "perceptual"},
        )

        inversion = client.inversions.get(labels.parents["inversion"])
        assert inversion.spec["config"]["distance"] == "perceptual"
        assert inversion.parents["encoder"] == encoder.id

    def test_a_dry_run(self, client, api):
        """
        The estimate of a generation names samples and shards; nothing is made.
        """
        labels = api.label_generator()

        cost = client.generations.dry_run(labels, 2500, shard_size=1000)

        assert (cost.samples, cost.shards) == (2500, 3)
        assert list(client.generations.list()) == []

    def test_an_unknown_field_is_named(self, client, api):
        """
        A typing error in a configuration is refused by its name.
        """
        with pytest.raises(BadRequest, match="stepz"):
            client.inversions.create(api.dataset(), api.generator(), stepz=3)

    def test_an_unknown_id_is_not_found(self, client):
        """
        A resource that is not there is told from one that is refused.
        """
        with pytest.raises(NotFound, match="gnn_00000000000000000000000000"):
            client.generations.get("gnn_00000000000000000000000000")


class TestFetch:
    def test_a_generation(self, client, api, tmp_path):
        """
        What the service hands out is what the manifest promises, also from the middle of a file.
        """
        generation = client.generations.create(api.label_generator(), 5)
        shard = bytes(range(256)) * 40
        digest = hashlib.sha256(shard).hexdigest()
        entry = {"path": "data/shard-000000.tar", "bytes": len(shard), "sha256": digest}
        api.put_file("generations", generation.id, "data/shard-000000.tar", shard)
        final = {"schema_version": 1, "shards": [{**entry, "samples": 5}], "files": []}
        api.finish("generations", generation.id, final)
        (tmp_path / "data").mkdir()
        (tmp_path / "data/shard-000000.tar.partial").write_bytes(shard[:1000])

        client.fetch(generation, tmp_path)

        assert (tmp_path / "data/shard-000000.tar").read_bytes() == shard
        assert (tmp_path / "manifest.json").read_bytes() == client.generations.read(
            generation, "manifest.json"
        )

    def test_one_that_is_not_ready(self, client, api, tmp_path):
        """
        Fetching too early is refused, and leaves nothing behind.
        """
        generation = client.generations.create(api.label_generator(), 5)

        with pytest.raises(Misused, match="is pending; only what is ready"):
            client.fetch(generation, tmp_path / "new")

        assert not (tmp_path / "new").exists()

    def test_an_evaluation(self, client, api, tmp_path):
        """
        Resources without a manifest of digests can be fetched too.
        """
        dataset = api.dataset()
        evaluation = client.evaluations.create(dataset=dataset, validation=dataset, test=dataset)
        api.finish("evaluations", evaluation.id, {"miou": 0.5})

        client.fetch(evaluation, tmp_path)

        assert b"0.5" in (tmp_path / "report.json").read_bytes()
