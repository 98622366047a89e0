import json
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from models.data.fitting import Canvas, Pad, Resize, fit
from models.data.formats.asked import class_ids
from models.data.formats.cityscapes import PLATE
from models.data.labelled import Labelled
from models.domains import DOMAINS, Domain, domain_of, read_domains
from models.labels import DepthSpec, SegmentationSpec

OWN = {
    "bees": {
        "canvas": {"height": 256, "width": 512, "columns": [64, 448]},
        "fitting": {"name": "pad", "fill": "mirror"},
        "labels": [{"kind": "segmentation", "classes": ["background", "bee", "comb"]}],
        "native": ["background", "drone", "queen", "comb"],
        "merge": {"drone": "bee", "queen": "bee"},
    }
}

# By native id, from the authors' settings as published, written out once more.
MERGED = {
    "faces-8": [0, 1, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 6, 7, 0, 0, 0, 0, 0],
    "faces-9-hat": [0, 1, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 6, 7, 8, 0, 0, 0, 0],
    "faces-9-glasses": [0, 1, 2, 8, 3, 3, 4, 4, 5, 5, 6, 6, 6, 7, 0, 0, 0, 0, 0],
    "faces-10": [0, 1, 2, 9, 3, 3, 4, 4, 5, 5, 6, 6, 6, 7, 8, 0, 0, 0, 0],
    "faces-19": list(range(19)),
    "face-34-to-8": [0, 1, 1, 1, 5, 5, 5, *[3] * 7, 4, 1, 1, 7, 7, 1, 1, *[6] * 4, 0]
    + [2] * 5
    + [1] * 3,
    "cars-10": [0, 1, 2, 3, 4, 3, 4, 1, 5, 3, 4, 3, 4, 6, 7, 7, 8, 8, 9],
    "cars-11": [0, 10, 2, 3, 4, 3, 4, 1, 5, 3, 4, 3, 4, 6, 7, 7, 8, 8, 9],
    "cityscapes-8": [*[0] * 7, 1, 0, 0, 0, *[2] * 6, *[3] * 4, 4, 4, 5, 6, 6, *[7] * 8],
    "cityscapes-5": [*[0] * 7, 1, *[0] * 15, 2, 3, 3, *[4] * 8],
    "deepfashion-24": list(range(24)),
}

CLASSES = {
    "faces-8": ["background", "skin", "nose", "eye", "brow", "ear", "mouth", "hair"],
    "cars-10": [
        *["background", "bumper", "back window", "door", "light", "windshield", "hood"],
        *["mirror", "trunk", "wheel"],
    ],
    "cityscapes-5": ["background", "road", "sky", "human", "vehicle"],
}


def written(tmp_path, content):
    """
    A file of domains.
    """
    path = tmp_path / "own.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def ids_by_native(domain):
    """
    What a reader makes of the dataset's own ids.
    """
    spec = next(label for label in domain.labels if label.kind == "segmentation")
    return class_ids(domain.native, spec, domain.merge, "files", never=[PLATE]).tolist()


class TestDomains:
    @pytest.mark.parametrize("name", sorted(MERGED))
    def test_ids_merge_as_published(self, name):
        """
        Every id of the dataset's own masks becomes the class that the authors gave it, and
        Cityscapes' vehicles are vehicles.
        """
        assert MERGED[name] == ids_by_native(DOMAINS[name])

    def test_all_are_checked_above(self):
        """
        No domain is built in without its ids being written out here.
        """
        assert DOMAINS.keys() == MERGED.keys() | {"cityscapes-depth"}

    @pytest.mark.parametrize("name", sorted(CLASSES))
    def test_classes_have_their_published_names(self, name):
        """
        Ids mean what the benchmark's tables call them.
        """
        assert CLASSES[name] == list(DOMAINS[name].classes)

    def test_longer_tails_keep_the_ids_of_the_others(self):
        """
        A domain with more classes agrees with the shorter one about all classes of both.
        """
        faces, cars = DOMAINS["faces-8"].classes, DOMAINS["cars-10"].classes

        assert (*faces, "hat", "glasses") == DOMAINS["faces-10"].classes
        assert (*cars[2:], "back bumper") == DOMAINS["cars-11"].classes[2:]
        assert DOMAINS["cars-11"].classes[1] == "front bumper"

    def test_licence_plates_are_parts_of_vehicles(self):
        """
        The one class of Cityscapes that has no id in masks is known by name, for polygons.
        """
        assert DOMAINS["cityscapes-8"].merge["license plate"] == "vehicle"

    def test_cars_lie_between_bars(self):
        """
        A square picture of a car ends up in rows 64 to 447 of 512, as its generator draws them.
        """
        cars = DOMAINS["cars-10"]
        car = Labelled("c", np.full((64, 64, 3), 255, np.uint8), {}, "c.jpg")

        made = fit(car, cars.labels, cars.fitting, cars.canvas)

        assert made.fit.rows == (64, 448)
        assert np.flatnonzero(made.item.image[:, 0, 0]).tolist() == list(range(64, 448))

    def test_torch_is_not_needed(self):
        """
        The service, which has no torch, can list domains.
        """
        code = "import sys; import models.domains; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestDomainOf:
    def test_finds_by_name(self):
        """
        Built-in domains and the user's own are asked for alike.
        """
        bees = Domain.model_validate(OWN["bees"])

        assert domain_of("faces-8") == DOMAINS["faces-8"]
        assert domain_of("bees", {"bees": bees}) == bees

    def test_a_name_that_is_not_there_is_answered_with_those_that_are(self):
        """
        The message lists all names, the user's too.
        """
        with pytest.raises(
            ValueError, match=r"no domain 'face'; there are bees, cars-10, .*faces-8"
        ):
            domain_of("face", {"bees": Domain.model_validate(OWN["bees"])})


class TestDomain:
    def test_a_merge_into_nothing_is_refused(self):
        """
        Every own class must become one of the segmentation's; the fault names both.
        """
        with pytest.raises(
            ValidationError, match="'wasp' becomes 'wasp', which is no class; there"
        ):
            Domain.model_validate(OWN["bees"] | {"native": ["background", "wasp"]})

    def test_a_merge_needs_a_segmentation(self):
        """
        Without classes there is nothing to merge into.
        """
        with pytest.raises(ValidationError, match="there are none, for there is no segmentation"):
            Domain(
                canvas=Canvas(height=8, width=8),
                fitting=Resize(),
                labels=(DepthSpec(),),
                merge={"a": "b"},
            )

    def test_a_kind_may_come_once(self):
        """
        Two segmentations of one dataset would not know whose mask is whose.
        """
        masks = SegmentationSpec(classes=("a", "b"))
        with pytest.raises(ValidationError, match=r"kinds of labels must differ; .*segmentation"):
            Domain(canvas=Canvas(height=8, width=8), fitting=Pad(), labels=(masks, masks))


class TestReadDomains:
    def test_reads_what_a_user_wrote(self, tmp_path):
        """
        A file of domains gives them by name, with policy, canvas and merges.
        """
        bees = read_domains(written(tmp_path, OWN))["bees"]

        assert Pad(fill="mirror") == bees.fitting
        assert bees.canvas.box == (0, 64, 256, 448)
        assert ids_by_native(bees) == [0, 1, 1, 2]

    def test_reads_what_it_could_have_written(self, tmp_path):
        """
        Every built-in domain, under another name, survives being written and read.
        """
        text = {f"my-{name}": domain.model_dump(mode="json") for name, domain in DOMAINS.items()}

        read = read_domains(written(tmp_path, text))

        assert {f"my-{name}": domain for name, domain in DOMAINS.items()} == read

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"fitting": {"name": "squash"}}, r"own.json: bees.fitting: .*'squash'.*'resize'"),
            ({"fittings": 1}, r"bees.fittings: Extra inputs are not permitted"),
            ({"canvas": {"height": 0, "width": 9}}, r"bees.canvas.height: .*greater than or equal"),
            ({"canvas": {"height": "9", "width": 9}}, r"bees.canvas.height: .*valid integer"),
            ({"labels": []}, r"bees.labels: .*at least 1"),
            ({"labels": [{"kind": "smell"}]}, r"bees.labels.0: .*'smell'"),
            ({"merge": {"drone": "be"}}, r"bees: .*'drone' becomes 'be', which is no class"),
        ],
    )
    def test_a_fault_is_named_with_its_place(self, tmp_path, change, message):
        """
        The message says file, domain, field and what is wrong.
        """
        with pytest.raises(ValueError, match=message):
            read_domains(written(tmp_path, {"bees": OWN["bees"] | change}))

    def test_all_faults_are_named_at_once(self, tmp_path):
        """
        Two bad domains are two faults of one message.
        """
        bad = OWN["bees"] | {"labels": []}
        with pytest.raises(ValueError, match=r"ants.labels.*; bees.labels"):
            read_domains(written(tmp_path, {"ants": bad, "bees": bad}))

    @pytest.mark.parametrize("text", ["{", "[]", '{"Bees!": {}}'])
    def test_what_is_no_file_of_domains_is_refused(self, tmp_path, text):
        """
        Broken JSON, another shape and bad names are refused with the file's name.
        """
        with pytest.raises(ValueError, match=r"^own.json"):
            read_domains(written(tmp_path, text))

    def test_a_missing_file_is_refused(self, tmp_path):
        """
        A path that leads nowhere is an error like the others.
        """
        with pytest.raises(ValueError, match=r"none.json cannot be read"):
            read_domains(tmp_path / "none.json")

    def test_built_in_names_are_taken(self, tmp_path):
        """
        Nobody's `faces-8` means something else than everybody's.
        """
        with pytest.raises(ValueError, match="built in already, choose other names: faces-8"):
            read_domains(written(tmp_path, {"faces-8": OWN["bees"]}))
