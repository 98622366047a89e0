"""Deleting: nothing that something depends on, nothing half, and nothing twice."""

import pytest
from support.api import LABEL, problem

from workers.job_store import JobStore
from workers.jobs import JobError, JobState
from workers.removal import Removal
from workers.storage.local import LocalStore


@pytest.fixture
def chain(api):
    """
    A ready dataset and generator, and a ready inversion made of them.
    """
    inversion = api.inversion()
    resource = api.get(f"/v1/inversions/{inversion}").json()
    for collection, each in (
        ("datasets", resource["parents"]["dataset"]),
        ("generators", resource["parents"]["generator"]),
        ("inversions", inversion),
    ):
        api.finish(collection, each)
    return resource["parents"] | {"inversion": inversion}


def left(api, *ids) -> list[str]:
    """
    What is still stored of some things, their jobs included, but for what notes their deletion.
    """
    tails = [each.partition("_")[2] for each in ids]
    keys = [key for key in api.stored() if any(tail in key for tail in tails)]
    return [key for key in keys if "/deleted/" not in key and "/idempotency/" not in key]


def test_takes_all_files_and_the_job(api, chain):
    """
    Nothing of it can be asked for any more, and nothing of it lies in the bucket.
    """
    inversion = chain["inversion"]
    job = api.get(f"/v1/inversions/{inversion}").json()["job"]["id"]
    api.put_file("inversions", inversion, "latents.safetensors", b"123456")

    answer = api.delete(f"/v1/inversions/{inversion}")

    assert answer.status_code == 200
    assert answer.json()["deleted"] == [f"inversions/{inversion}"]
    assert answer.json()["bytes"] > 6
    for path in (f"/v1/inversions/{inversion}", f"/v1/inversions/{inversion}/files"):
        problem(api.get(path), 404, "not_found")
    problem(api.get(f"/v1/jobs/{job}"), 404, "not_found")
    problem(api.delete(f"/v1/inversions/{inversion}"), 404, "not_found")
    assert left(api, inversion) == []
    assert inversion not in api.get("/v1/inversions").text
    assert job not in api.get("/v1/jobs").text


def test_names_what_depends_on_it(api, chain):
    """
    A generator of which there is an inversion stays, and the answer says why.
    """
    told = problem(api.delete(f"/v1/generators/{chain['generator']}"), 409, "has_dependants")

    assert [e["pointer"] for e in told["errors"]] == [f"/v1/inversions/{chain['inversion']}"]
    assert api.get(f"/v1/generators/{chain['generator']}").status_code == 200


def test_cascades_on_request(api, chain):
    """
    What depends on others goes first; what is beside them stays.
    """
    labels = api.made("label-generators", {"inversion_id": chain["inversion"]})
    api.finish("label-generators", labels)

    answer = api.delete(f"/v1/generators/{chain['generator']}", params={"cascade": "true"})

    assert answer.json()["deleted"] == [
        f"label-generators/{labels}",
        f"inversions/{chain['inversion']}",
        f"generators/{chain['generator']}",
    ]
    assert left(api, labels, chain["inversion"], chain["generator"]) == []
    assert api.get(f"/v1/datasets/{chain['dataset']}").json()["state"] == "ready"


@pytest.mark.parametrize("cascade", [False, True])
def test_dry_says_the_same_and_deletes_nothing(api, chain, cascade):
    """
    What would go and how much that is, or why it would not.
    """
    before, params = api.stored(), {"cascade": cascade}
    place = f"/v1/generators/{chain['generator']}"
    dry = api.delete(place, params=params | {"dry_run": True})
    assert before == api.stored()

    done = api.delete(place, params=params)
    assert dry.status_code == done.status_code
    assert dry.json().get("deleted") == done.json().get("deleted")
    assert dry.json().get("bytes") == done.json().get("bytes")


def test_waits_for_jobs(api, chain):
    """
    What a job still makes is not taken from under it, nor with a cascade; cancelled it goes.
    """
    labels = api.made("label-generators", {"inversion_id": chain["inversion"]})
    for path in (f"/v1/label-generators/{labels}", f"/v1/inversions/{chain['inversion']}"):
        told = problem(api.delete(path, params={"cascade": "true"}), 409, "still_running")
        assert "cancel" in told["remedy"]

    job = api.get(f"/v1/label-generators/{labels}").json()["job"]["id"]
    assert api.post(f"/v1/jobs/{job}/cancel").status_code == 202
    assert api.delete(f"/v1/label-generators/{labels}").status_code == 200


def test_what_failed_is_not_in_the_way(api, chain):
    """
    A failed training keeps nothing from being deleted.
    """
    labels = api.made("label-generators", {"inversion_id": chain["inversion"]})
    api.run(labels)
    api.step(labels, JobState.FAILED, JobError(code="bad", message="bad"))

    assert api.delete(f"/v1/inversions/{chain['inversion']}").status_code == 200
    assert api.get(f"/v1/label-generators/{labels}").json()["state"] == "failed"


def test_an_open_dataset_can_go(api):
    """
    It has no job and nothing is made of it.
    """
    dataset = api.open_dataset()
    api.add_item(dataset)

    assert api.delete(f"/v1/datasets/{dataset}").status_code == 200
    assert left(api, dataset) == []


class TestUploads:
    def test_stay_until_they_are_read(self, api):
        """
        A job that has not read its file needs it; afterwards it can go, and the generator stays.
        """
        upload = api.upload()
        generator = api.made("generators", {"upload_id": upload})
        problem(api.delete(f"/v1/uploads/{upload}"), 409, "has_dependants")
        api.finish("generators", generator)

        assert api.delete(f"/v1/uploads/{upload}").status_code == 200
        problem(api.get(f"/v1/uploads/{upload}"), 404, "not_found")
        assert api.get(f"/v1/generators/{generator}").json()["state"] == "ready"

    def test_are_not_made_again_by_the_same_request(self, api):
        """
        The key is spent: what it named would be taken for what was deleted.
        """
        key, body = {"Idempotency-Key": "one"}, {"filename": "a.bin"}
        upload = api.post("/v1/uploads", body, headers=key).json()["id"]
        api.delete(f"/v1/uploads/{upload}")

        problem(api.post("/v1/uploads", body, headers=key), 409, "was_deleted")


def test_is_not_undone_by_a_late_repetition(api):
    """
    A client that repeats the request which made it is told, instead of making it anew.
    """
    key, body = {"Idempotency-Key": "one"}, {"label": LABEL}
    dataset = api.post("/v1/datasets", body, headers=key).json()["id"]
    api.delete(f"/v1/datasets/{dataset}")

    problem(api.post("/v1/datasets", body, headers=key), 409, "was_deleted")


class DyingStore(LocalStore):
    """
    A bucket whose user dies at some delete.
    """

    left = 0

    def delete(self, key):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        super().delete(key)


@pytest.mark.parametrize("deletes", range(5))
def test_is_finished_if_it_was_cut_short(api, chain, tmp_path, deletes):
    """
    Whoever dies in the middle leaves nothing that looks whole; the next sweep removes the rest.
    """
    inversion = chain["inversion"]
    api.put_file("inversions", inversion, "latents.safetensors", b"123456")
    store = DyingStore(tmp_path / "store")
    store.left = deletes
    removal = Removal(store, JobStore(api.services.redis, store))
    with pytest.raises(KeyboardInterrupt):
        removal.remove([removal.thing("default", "inversions", inversion)])
    if deletes:
        problem(api.get(f"/v1/inversions/{inversion}"), 404, "not_found")

    Removal(api.services.store, api.services.jobs).sweep("default")

    assert left(api, inversion) == []
