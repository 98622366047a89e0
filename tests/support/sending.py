"""Sends malformed files to a service, each as what it claims to be, and tells what came of it."""

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.api import Api
from tests.support.malformed import Malformed
from tests.support.malformed_archives import GOOD, archives
from tests.support.malformed_labels import CLASSES, POINTS, labels
from tests.support.malformed_pictures import pictures
from tests.support.malformed_requests import requests

LABELS = {
    "label": {"kind": "segmentation", "classes": CLASSES},
    "keypoints": {"kind": "keypoints", "names": POINTS},
    "depth": {"kind": "depth"},
}
"""What datasets mean by the part of a form that brings a label."""


def cases() -> list[Malformed]:
    """All malformed files."""
    return [*pictures(), *labels(), *archives(), *requests()]


@dataclass(frozen=True)
class Report:
    """What came of one.

    Attributes:
        state: `refused`, `kept`, or what else became of it.
        said: the detail of a problem, or the files of a report and what is wrong with each.
        size: bytes of the answer.
    """

    state: str
    said: str
    size: int


class Sender:
    """Sends files through the API.

    Args:
        api: a client.
        work: does the CPU work of the job with an id, and returns when it has ended.
    """

    def __init__(self, api: Api, work: Callable[[str], None]) -> None:
        self._api = api
        self._work = work
        self._datasets = {
            part: api.made("datasets", {"label": label}) for part, label in LABELS.items()
        }

    def send(self, case: Malformed) -> Report:
        """What came of a file; one that is sent as part of an item is called `{name}.bin`."""
        data = case.make()
        if case.sent_as == "archive":
            return self.ingest(data)
        if case.sent_as == "body":
            headers = {"Content-Type": "application/json"}
            return _report(self._api.send("POST", "/v1/datasets", content=data, headers=headers))
        part = "label" if case.sent_as == "image" else case.sent_as
        files = {
            "image": ("image.png", GOOD["images/a.png"]),
            part: ("label.png", GOOD["masks/a.png"]),
            case.sent_as: (f"{case.name}.bin", data),
        }
        path = f"/v1/datasets/{self._datasets[part]}/items"
        return _report(self._api.post(path, files=files, data={"key": case.name[:80]}))

    def ingest(self, archive: bytes, **options: Any) -> Report:
        """What came of an archive."""
        body = {"label": LABELS["label"], "upload_id": self._api.upload(archive), **options}
        made = self._api.post("/v1/datasets", body)
        assert made.status_code == 202, made.text
        dataset = made.json()["id"]
        self._work(made.json()["job"]["id"])
        answer = self._api.get(f"/v1/datasets/{dataset}")
        job, result = answer.json()["job"], answer.json()["result"]
        if result is not None:
            return Report("kept", _listed(result["left_out"]), len(answer.content))
        state = "refused" if job["error"]["code"] == "invalid_dataset" else job["error"]["code"]
        said = _listed(job["error"].get("details", {}).get("files", []))
        return Report(state, said, len(answer.content))


def packed(given: Sequence[Malformed]) -> bytes:
    """A zip with an item for each of the pictures and masks among the cases, and a good one."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for case in [case for case in given if case.sent_as in ("image", "label")]:
            data, stem = case.make(), case.name.replace("%", "")
            is_image = case.sent_as == "image"
            archive.writestr(f"images/{stem}.png", data if is_image else GOOD["images/a.png"])
            archive.writestr(f"masks/{stem}.png", GOOD["masks/a.png"] if is_image else data)
        for name, data in GOOD.items():
            archive.writestr(name, data)
    return target.getvalue()


def _report(answer: Any) -> Report:
    body = answer.json()
    if answer.status_code < 300:
        return Report("kept", "", len(answer.content))
    is_problem = answer.headers["content-type"] == "application/problem+json" and body["code"]
    state = "refused" if is_problem and 400 <= answer.status_code < 500 else answer.text
    return Report(state, body["detail"], len(answer.content))


def _listed(files: Sequence[dict[str, str]]) -> str:
    return "\n".join(f"{each['file']}: {each['problem']}" for each in files)
