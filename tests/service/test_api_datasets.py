import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from support.api import LABEL, mask_of, picture, problem, serve

from service.dataset_request import DatasetRequest
from service.domains import params_of
from service.services import connect_services
from workers import keys


class TestOpening:
    def test_makes_a_dataset_that_takes_items(self, api):
        """
        Without an upload the dataset is open and has no job.
        """
        body = {"label": LABEL, "name": "faces", "licence": "CC-BY-4.0"}
        answer = api.post("/v1/datasets", body)

        assert answer.status_code == 201
        made = answer.json()
        assert (
            made["state"],
            made["job"],
            made["name"],
            made["licence"],
        ) == ("open", None, "faces", "CC-BY-4.0")
        assert f"/v1/datasets/{made['id']}" == answer.headers["location"]
        assert made == api.get(answer.headers["location"]).json()

    def test_from_a_zip_starts_a_job(self, api):
        """
        With an upload the dataset is read from it, by a job.
        """
        answer = api.post("/v1/datasets", {"label": LABEL, "upload_id": api.upload()})

        assert (answer.status_code, answer.json()["state"]) == (202, "pending")
        assert (
            answer.json()["job"]["kind"],
            answer.json()["job"]["state"],
        ) == ("ingest", "queued")
        assert answer.headers["retry-after"].isdecimal()

    def test_needs_the_zip_to_be_there(self, api):
        """
        An upload whose bytes have not come is not ready; the remedy says what to do.
        """
        upload = api.post("/v1/uploads", {"filename": "a.zip"}).json()["id"]
        before = api.stored()

        answer = api.post("/v1/datasets", {"label": LABEL, "upload_id": upload})

        body = problem(answer, 409, "not_ready")
        assert upload in body["detail"]
        assert "PUT the file" in body["remedy"]
        assert before == api.stored()

    @pytest.mark.parametrize(
        ("label", "pointer"),
        [
            ({"kind": "segmentation", "classes": ["only one"]}, "/label/classes"),
            ({"kind": "segmentation", "classes": ["a", "a"]}, "/label"),
            ({"kind": "segmentation"}, "/label/classes"),
            ({"kind": "smell", "classes": ["a", "b"]}, "/label"),
            ({"classes": ["a", "b"]}, "/label"),
            ({"kind": "segmentation", "classes": ["a", "b"], "colour": 1}, "/label/colour"),
            ({"kind": "depth", "smallest": 2, "largest": 1}, "/label"),
            ({"kind": "keypoints", "names": ["a", "a"]}, "/label"),
        ],
    )
    def test_names_what_is_wrong_with_a_label(self, api, label, pointer):
        """
        A label that means nothing is refused with the field that is to blame.
        """
        answer = api.post("/v1/datasets", {"label": label})

        body = problem(answer, 422, "invalid_request")
        assert pointer == body["errors"][0]["pointer"]
        assert api.stored() == []


class TestAddingItems:
    def test_stores_them_normalised(self, api):
        """
        Whatever came, an RGB PNG and an 'L' PNG of class ids are kept.
        """
        dataset, photo = api.open_dataset(), io.BytesIO()
        Image.new("RGB", (6, 4), "red").save(photo, "JPEG")

        answer = api.add_item(dataset, photo.getvalue(), mask_of(1, 4, 6), data={"key": "a"})

        assert answer.status_code == 201
        assert tuple(answer.json()[name] for name in ("key", "height", "width")) == ("a", 4, 6)
        files = api.get(f"/v1/datasets/{dataset}/files").json()["data"]
        assert [file["path"] for file in files] == ["items/a.mask.png", "items/a.png"]
        image, mask = (
            Image.open(io.BytesIO(api.get(file["url"]).content)) for file in reversed(files)
        )
        assert (image.mode, mask.mode) == ("RGB", "L")
        assert np.asarray(mask).max() == 1

    def test_are_called_like_their_image(self, api):
        """
        Without a key the image's file name is the key.
        """
        assert api.add_item(api.open_dataset()).json()["key"] == "one"

    def test_sending_the_same_item_again_is_harmless(self, api):
        """
        An item that is there already is answered as such; another under its key is refused.
        """
        dataset = api.open_dataset()
        first, again = api.add_item(dataset), api.add_item(dataset)
        other = api.add_item(dataset, mask=mask_of(0))

        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"
        assert "'one'" in problem(other, 409, "item_exists")["detail"]

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            ({"image": b"no image at all"}, ["one.png", "begins with", "PNG, JPEG or WebP"]),
            ({"image": b""}, ["one.png", "is empty"]),
            ({"mask": mask_of(1, 4, 8)}, ["one-mask.png", "4 x 8", "8 x 8", "same size"]),
            ({"mask": mask_of(7)}, ["one-mask.png", "holds 7", "0..1", "add the class"]),
            ({"mask": picture()}, ["one-mask.png", "mode 'L'"]),
        ],
        ids=["no image", "empty image", "mask of another size", "no such class", "colour mask"],
    )
    def test_a_bad_picture_is_refused_at_once(self, api, files, words):
        """
        The refusal names the file, what was found in it and what to do; nothing is stored.
        """
        dataset = api.open_dataset()
        before = api.stored()
        parts = {"image": picture(), "mask": mask_of(1)} | files
        sent = {"image": ("one.png", parts["image"]), "label": ("one-mask.png", parts["mask"])}

        headers = {"Idempotency-Key": "k"}
        answer = api.post(f"/v1/datasets/{dataset}/items", files=sent, headers=headers)

        detail = problem(answer, 422, "invalid_image")["detail"]
        assert [word for word in words if word not in detail] == [], detail
        assert before == api.stored()

    @pytest.mark.parametrize("missing", ["image", "label"])
    def test_all_files_are_needed(self, api, missing):
        """
        A form without one of its files names the one that is missing.
        """
        dataset = api.open_dataset()
        files = {"image": ("a.png", picture()), "label": ("a.png", mask_of(1))}
        del files[missing]

        body = problem(
            api.post(f"/v1/datasets/{dataset}/items", files=files), 422, "invalid_request"
        )

        assert f"/{missing}" == body["errors"][0]["pointer"]

    def test_to_an_unknown_dataset_is_refused(self, api):
        """
        The refusal names the dataset.
        """
        assert "dst_none" in problem(api.add_item("dst_none"), 404, "not_found")["detail"]
        assert api.stored() == []

    def test_can_be_taken_back(self, api):
        """
        An item is removed with both its files; removing it again is a 404.
        """
        dataset = api.open_dataset()
        api.add_item(dataset)

        assert api.delete(f"/v1/datasets/{dataset}/items/one").status_code == 204

        again = api.delete(f"/v1/datasets/{dataset}/items/one")
        assert "'one'" in problem(again, 404, "not_found")["detail"]
        assert api.get(f"/v1/datasets/{dataset}/files").json()["data"] == []


KINDS = [LABEL, {"kind": "keypoints", "names": ["nose"]}, {"kind": "depth", "largest": 9}]


def depth_of(value, height=8, width=8):
    """
    A depth map of one distance.
    """
    target = io.BytesIO()
    np.save(target, np.full((height, width), value, np.float32))
    return target.getvalue()


class TestKinds:
    PARTS: ClassVar = {
        "image": ("one.png", picture()),
        "label": ("mask.png", mask_of(1)),
        "keypoints": ("points.json", b'{"points": [[3, 2.5, 2]]}'),
        "depth": ("depth.npy", depth_of(4)),
    }

    def opened(self, api, **more):
        """
        An open dataset of all kinds, and how items are sent to it.
        """
        dataset = api.made("datasets", {"labels": KINDS, **more})

        def send(*without, **changed):
            files = {k: v for k, v in (self.PARTS | changed).items() if k not in without}
            return api.post(f"/v1/datasets/{dataset}/items", files=files)

        return dataset, send

    def test_are_stored_beside_each_other(self, api):
        """
        An item has a file for each kind of label, in the form that everything reads.
        """
        dataset, send = self.opened(api)

        body = send().json()

        assert list(body["labels"]) == ["segmentation", "keypoints", "depth"]
        files = api.get(f"/v1/datasets/{dataset}/files").json()["data"]
        assert [file["path"] for file in files] == [
            "items/one.depth.npy",
            "items/one.keypoints.json",
            "items/one.mask.png",
            "items/one.png",
        ]
        points = json.loads(api.get(files[1]["url"]).content)
        assert points["keypoints"] == [3, 2.5, 2]
        assert (np.load(io.BytesIO(api.get(files[0]["url"]).content)) == 4).all()

    def test_sending_them_again_is_harmless(self, api):
        """
        The very same item is answered as such, whichever of its labels is another is refused.
        """
        _, send = self.opened(api)
        first, again = send(), send()
        other = send(depth=("depth.npy", depth_of(5)))

        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"
        problem(other, 409, "item_exists")

    @pytest.mark.parametrize("missing", ["label", "keypoints", "depth"])
    def test_that_are_missing_are_named(self, api, missing):
        """
        Every kind that the dataset has must come with each item.
        """
        _, send = self.opened(api)

        body = problem(send(missing), 422, "invalid_request")

        assert [error["pointer"] for error in body["errors"]] == [f"/{missing}"]
        assert "send image, label and keypoints and depth" in body["remedy"]

    def test_that_the_dataset_has_not_are_named(self, api):
        """
        A label that nobody would read is refused, not dropped.
        """
        dataset = api.open_dataset()

        answer = api.post(f"/v1/datasets/{dataset}/items", files=self.PARTS)

        body = problem(answer, 422, "invalid_request")
        assert [error["pointer"] for error in body["errors"]] == ["/keypoints", "/depth"]
        assert f"{dataset} has no keypoints; send label" in body["detail"]

    def test_a_bad_one_is_refused_at_once(self, api):
        """
        The refusal names the file.
        """
        _, send = self.opened(api)

        answer = send(keypoints=("points.json", b'{"points": [[3, 2.5, 7]]}'))

        assert (
            "points.json: nose has visibility 7" in problem(answer, 422, "invalid_image")["detail"]
        )

    def test_png_depth_needs_its_scale(self, api):
        """
        Options of the dataset count for items too.
        """
        metres = Image.fromarray(np.full((8, 8), 4000, np.uint16))
        target = io.BytesIO()
        metres.save(target, "PNG")
        _, plain = self.opened(api)
        dataset, scaled = self.opened(api, options={"depth_scale": "1000"})
        sent = {"depth": ("depth.png", target.getvalue())}

        assert "depth_scale" in problem(plain(**sent), 422, "invalid_image")["detail"]
        assert scaled(**sent).status_code == 201
        stored = api.get(f"/v1/datasets/{dataset}/files/items/one.depth.npy").content
        assert (np.load(io.BytesIO(stored)) == 4).all()

    def test_are_removed_together(self, api):
        """
        Nothing of an item that is taken back stays.
        """
        dataset, send = self.opened(api)
        send()

        assert api.delete(f"/v1/datasets/{dataset}/items/one").status_code == 204
        assert api.get(f"/v1/datasets/{dataset}/files").json()["data"] == []

    def test_landmarks_come_as_keypoints(self, api):
        """
        A dataset that aligns by landmarks asks for them with each item.
        """
        names = ["left_eye", "right_eye", "mouth_left", "mouth_right"]
        fit = {
            "canvas": {"height": 8, "width": 8},
            "policy": {"name": "align_face"},
            "landmarks": {"kind": "keypoints", "names": names},
        }
        dataset = api.made("datasets", {"label": LABEL, "fit": fit})
        points = [[2, 2, 2], [5, 2, 2], [2, 5, 2], [5, 5, 2]]
        files = {name: self.PARTS[name] for name in ("image", "label")}
        files["keypoints"] = ("k.json", json.dumps({"points": points}).encode())

        answer = api.post(f"/v1/datasets/{dataset}/items", files=files)

        assert answer.status_code == 201
        assert "items/one.keypoints.json" in answer.json()["labels"]["keypoints"]["path"]


class TestAsking:
    CANVAS: ClassVar = {"height": 64, "width": 64}

    def test_a_domain_says_the_rest(self, api):
        """
        Labels, merge and fit are a preset's; what is asked for besides goes before it.
        """
        body = {"domain": "cars-10", "fit": {"canvas": self.CANVAS}, "merge": {"wheel": "door"}}

        spec = api.post("/v1/datasets", body).json()["spec"]

        assert spec["domain"] == "cars-10"
        assert spec["labels"][0]["classes"][:2] == ["background", "bumper"]
        assert (spec["merge"]["hood"], spec["merge"]["wheel"]) == ("hood", "door")
        assert spec["fit"]["canvas"] == {**self.CANVAS, "rows": None, "columns": None}
        assert spec["fit"]["policy"] == {"name": "resize"}

    def test_a_domain_can_name_the_ids_of_arrays(self, api):
        """
        Masks of DatasetGAN's ids are read by the names that the preset has for them.
        """
        body = {
            "domain": "face-34-to-8",
            "upload_id": api.upload(),
            "options": {"native": "domain"},
        }

        spec = api.post("/v1/datasets", body).json()["spec"]

        assert spec["options"]["native"].startswith("background, head, cheek")

    def test_an_operator_adds_domains(self, settings, services, api, tmp_path):
        """
        A file of presets is read when the service starts.
        """
        file = tmp_path / "domains.json"
        domain = {"canvas": self.CANVAS, "fitting": {"name": "pad"}, "labels": [LABEL]}
        file.write_text(json.dumps({"our-shapes": domain}))
        settings = settings.model_copy(update={"domains": file})

        (own,) = connect_services(settings).domains.values()

        assert own.classes == ("background", "shape")
        asked = DatasetRequest(domain="our-shapes")
        assert params_of(asked, {"our-shapes": own}).fit.policy.name == "pad"

    @pytest.fixture
    def importing(self, settings):
        """
        A service whose operator allows one prefix.
        """
        settings = settings.model_copy(update={"import_prefixes": ("s3://sets/",)})
        yield from serve(settings, connect_services(settings))

    def test_an_archive_may_lie_in_a_bucket(self, importing):
        """
        An address is taken where the operator allows it, and else refused with the setting.
        """
        ask = {"label": LABEL, "source": "s3://sets/faces.zip"}

        good = importing.post("/v1/datasets", ask)
        bad = importing.post("/v1/datasets", {**ask, "source": "s3://other/faces.zip"})

        assert (good.status_code, good.json()["job"]["kind"]) == (202, "ingest")
        assert "HANDSOFF_IMPORT_PREFIXES" in problem(bad, 422, "source_not_allowed")["detail"]

    def test_so_may_a_folder(self, importing):
        """
        An address with `/` at its end is a dataset's; a checkpoint cannot be there.
        """
        folder = {"source": "s3://sets/faces/"}

        good = importing.post("/v1/datasets", {"label": LABEL, **folder})
        bad = importing.post("/v1/generators", folder)

        assert (good.status_code, good.json()["job"]["kind"]) == (202, "ingest")
        told = problem(bad, 422, "invalid_request")
        assert told["errors"][0]["pointer"] == "/source"
        assert "name a single object" in told["errors"][0]["detail"]

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({}, "exactly one of label, labels and domain"),
            ({"label": LABEL, "domain": "faces-8"}, "exactly one of label, labels and domain"),
            ({"label": LABEL, "labels": [LABEL]}, "exactly one of label, labels and domain"),
            ({"labels": [LABEL, LABEL]}, "labels has segmentation more than once"),
            ({"domain": "mars"}, "there is no domain 'mars'; there are cars-10"),
            ({"label": LABEL, "merge": {"blob": "thing"}}, "becomes 'thing', which is none of"),
            ({"label": {"kind": "depth"}, "merge": {"a": "b"}}, "there is no segmentation"),
            ({"label": LABEL, "colours": {"#ff0000": "thing"}}, "which is none of background"),
            ({"label": LABEL, "colours": {"red": "shape"}}, "pattern"),
            ({"label": LABEL, "layout": "coco"}, "are of archives"),
            ({"label": LABEL, "options": {"split": "train"}}, "are of archives"),
            ({"label": LABEL, "upload_id": "UPLOAD", "layout": "pascal"}, "no layout 'pascal'"),
            (
                {"label": {"kind": "depth"}, "upload_id": "UPLOAD", "layout": "coco"},
                "the layout coco has no depth, only keypoints, segmentation",
            ),
            ({"label": {"kind": "depth"}, "tiny_classes": "clean"}, "of a segmentation"),
            ({"label": LABEL, "fit": {"policy": {"name": "pad"}}}, "canvas"),
            ({"label": LABEL, "fit": {"canvas": CANVAS, "policy": {"name": "zoom"}}}, "zoom"),
            (
                {"label": LABEL, "fit": {"canvas": CANVAS, "policy": {"name": "align"}}},
                "aligning needs three or more of left_eye",
            ),
            (
                {
                    "label": {"kind": "keypoints", "names": ["nose", "tail"]},
                    "fit": {"canvas": CANVAS, "policy": {"name": "align_face"}},
                },
                "label keypoints, or give fit.landmarks",
            ),
            (
                {
                    "label": {"kind": "keypoints", "names": ["nose"]},
                    "fit": {"canvas": CANVAS, "landmarks": {"kind": "keypoints", "names": ["a"]}},
                },
                "for datasets without keypoints",
            ),
            (
                {"label": LABEL, "upload_id": "UPLOAD", "source": "s3://sets/a.zip"},
                "either upload_id or source",
            ),
        ],
    )
    def test_contradictions_are_told(self, api, body, words):
        """
        What cannot be meant is refused before anything is made, in words that say why.
        """
        if "upload_id" in body:
            body = {**body, "upload_id": api.upload()}
        before = api.stored()

        answer = api.post("/v1/datasets", body)

        told = problem(answer, 422, "invalid_request")
        assert words in told["detail"]
        assert before == api.stored()


class TestSealing:
    def test_starts_the_job_that_makes_it_ready(self, api):
        """
        A sealed dataset waits for its ingest job, under the id it had.
        """
        dataset = api.open_dataset()
        api.add_item(dataset)

        answer = api.post(f"/v1/datasets/{dataset}/seal")

        body = answer.json()
        assert (202, dataset, "pending", "ingest") == (
            answer.status_code,
            body["id"],
            body["state"],
            body["job"]["kind"],
        )
        assert body == api.get(f"/v1/datasets/{dataset}").json()

    def test_an_empty_dataset_is_refused(self, api):
        """
        There must be something to seal; the dataset stays open.
        """
        dataset = api.open_dataset()

        body = problem(api.post(f"/v1/datasets/{dataset}/seal"), 409, "dataset_empty")

        assert dataset in body["detail"]
        assert f"POST /v1/datasets/{dataset}/items" in body["remedy"]
        assert api.get(f"/v1/datasets/{dataset}").json()["state"] == "open"

    def test_closes_it_for_good(self, api):
        """
        A sealed dataset takes no items, gives none back, and is not sealed twice.
        """
        dataset = api.dataset()
        before = api.stored()

        for answer in (
            api.add_item(dataset, data={"key": "two"}),
            api.delete(f"/v1/datasets/{dataset}/items/one"),
            api.post(f"/v1/datasets/{dataset}/seal"),
        ):
            assert dataset in problem(answer, 409, "dataset_sealed")["detail"]
        assert before == api.stored()

    def test_may_be_repeated_under_a_key(self, api):
        """
        A client that did not hear the answer asks again and gets it.
        """
        dataset = api.open_dataset()
        api.add_item(dataset)
        headers = {"Idempotency-Key": "k"}
        first = api.post(f"/v1/datasets/{dataset}/seal", headers=headers)
        again = api.post(f"/v1/datasets/{dataset}/seal", headers=headers)

        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"

    def test_that_a_crash_cut_short_may_be_repeated(self, api):
        """
        If the service died before the job was there, the dataset is not stuck.
        """
        dataset = api.open_dataset()
        api.add_item(dataset)
        place = keys.description("default", "datasets", dataset)
        document = json.loads(api.services.store.get(place))
        document["job_id"] = f"job_{dataset.partition('_')[2]}"
        api.services.store.put(place, json.dumps(document).encode())

        answer = api.post(f"/v1/datasets/{dataset}/seal", headers={"Idempotency-Key": "k"})

        assert (answer.status_code, answer.json()["job"]["kind"]) == (202, "ingest")

    def test_drops_halves_that_a_crash_left(self, api):
        """
        Of an item whose client never got an answer, what was stored is removed.
        """
        dataset = api.open_dataset()
        api.add_item(dataset)
        api.put_file("datasets", dataset, "items/half.png", picture())

        api.post(f"/v1/datasets/{dataset}/seal")

        files = api.get(f"/v1/datasets/{dataset}/files").json()["data"]
        assert [file["path"] for file in files] == ["items/one.mask.png", "items/one.png"]

    def test_no_item_slips_in_behind_the_seal(self, api):
        """
        While many add items somebody seals: whoever was told 201 has an item in the dataset,
        everybody else was told that it is sealed.
        """
        dataset = api.open_dataset()
        api.add_item(dataset, data={"key": "first"})

        def add(number):
            return api.add_item(dataset, data={"key": f"key-{number}"})

        with ThreadPoolExecutor(8) as pool:
            adding = [pool.submit(add, number) for number in range(16)]
            sealed = pool.submit(api.post, f"/v1/datasets/{dataset}/seal").result()
            answers = [future.result() for future in adding]

        files = api.get(f"/v1/datasets/{dataset}/files").json()["data"]
        assert sealed.status_code == 202
        assert {answer.status_code for answer in answers} <= {201, 409}
        added = {answer.json()["key"] for answer in answers if answer.status_code == 201}
        images = {file["path"] for file in files if ".mask." not in file["path"]}
        assert images == {f"items/{key}.png" for key in added | {"first"}}
