import json
from typing import ClassVar

import pytest
from pydantic import ValidationError
from support import generations

from models.data.manifest import DatasetManifest, GenerationManifest, SampleInfo, ShardFragment


class TestSampleInfo:
    def test_writes_floats_as_floats(self):
        """
        Whole numbers in float fields have a point, so that no reader takes them for integers.
        """
        facts = generations.info(0).model_dump()
        shares = {"background": 1, "skin": 0}

        text = SampleInfo(**{**facts, "score": 0, "psi": 1, "class_pixel_share": shares}).to_json()

        assert b'"class_pixel_share": {"background": 1.0, "skin": 0.0}' in text
        assert b'"psi": 1.0, "score": 0.0' in text
        assert b'"index": 0,' in text

    def test_has_one_byte_sequence(self):
        """
        The order in which classes were counted does not show.
        """
        facts = generations.info(1)
        turned = dict(reversed(facts.class_pixel_share.items()))

        assert facts.to_json() == facts.model_copy(update={"class_pixel_share": turned}).to_json()

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_refuses_what_json_has_not(self, value):
        """
        A score that is no number is stopped before it is in a shard.
        """
        with pytest.raises(ValidationError, match="finite"):
            SampleInfo(**{**generations.info(0).model_dump(), "score": value})

    def test_has_figures_of_its_kinds_alone(self):
        """
        A sample of masks says nothing of keypoints and depth, not even that they are not there.
        """
        facts = json.loads(generations.info(0).to_json())

        assert not facts.keys() & {"keypoint_confidence", "depth", "scores"}
        assert {"class_pixel_share"} == generations.info(0).by_field.keys()
        other = {**generations.info(0).model_dump(), "depth": {"mean": 1.0}, "scores": {"depth": 2}}
        del other["class_pixel_share"]
        info = SampleInfo(**other)
        assert info.by_field == {"depth": {"mean": 1.0}}
        assert info == SampleInfo.model_validate_json(info.to_json())


class TestShardFragment:
    def test_rows_find_their_bytes(self, tmp_path):
        """
        Each row's range of bytes begins with the header of the sample's first member.
        """
        (fragment,) = generations.write_generation(tmp_path, 3)
        data = (tmp_path / fragment.path).read_bytes()

        assert len(data) == fragment.bytes
        for row in fragment.rows:
            assert data[row.offset :].startswith(f"{row.index:09d}.json".encode())
            assert row.bytes % 512 == 0
        assert len(data) - 1024 == fragment.rows[-1].offset + fragment.rows[-1].bytes

    def test_needs_one_description_a_sample(self, tmp_path):
        """
        A fragment cannot be made of fewer descriptions than the shard has samples.
        """
        (fragment,) = generations.write_generation(tmp_path, 2)
        described = [generations.info(0)]
        offsets = [(row.offset, row.offset + row.bytes) for row in fragment.rows]

        with pytest.raises(ValueError, match="zip"):
            ShardFragment.of("data/a.tar", Written(offsets), 2, described)

    def test_survives_json(self, tmp_path):
        """
        What is stored is what comes back.
        """
        (fragment,) = generations.write_generation(tmp_path, 2)

        stored = json.dumps(fragment.model_dump(mode="json"))

        assert fragment == ShardFragment.model_validate_json(stored)
        assert json.loads(stored)["schema_version"] == 1


class Written:
    """
    A shard of which only the offsets are known.
    """

    samples, bytes, sha256 = 2, 0, ""

    def __init__(self, offsets):
        self.offsets = offsets


def test_a_manifest_survives_json(tmp_path):
    """
    A generation's manifest is read back as it was written, label and all.
    """
    manifest = generations.manifest(generations.write_generation(tmp_path, 5))

    assert manifest == GenerationManifest.model_validate_json(manifest.model_dump_json())
    assert pytest.approx(manifest.dropped_share) == 2 / 7


def test_a_manifest_of_one_kind_has_its_labels(tmp_path):
    """
    Manifests from before there were several kinds name their label once.
    """
    stored = generations.manifest(generations.write_generation(tmp_path, 2)).model_dump()
    del stored["labels"]

    assert GenerationManifest.model_validate(stored).labels == (generations.SPEC,)


def test_an_unknown_field_is_an_error(tmp_path):
    """
    A manifest of a later version is not half understood.
    """
    manifest = generations.manifest(generations.write_generation(tmp_path, 1))

    with pytest.raises(ValidationError, match="later_field"):
        GenerationManifest.model_validate({**manifest.model_dump(), "later_field": 1})


class TestDatasetManifest:
    FIRST: ClassVar = {
        "schema_version": 1,
        "label": {"kind": "segmentation", "classes": ["a", "b"]},
        "name": "faces",
        "licence": "CC0",
        "items": [
            {
                "key": "k",
                "image": "items/k.png",
                "mask": "items/k.mask.png",
                "height": 2,
                "width": 3,
                "sha256": {"image": "11", "mask": "22"},
            }
        ],
        "statistics": {
            "class_pixel_share": {"a": 1.0, "b": 0.0},
            "images_per_class": {"a": 1, "b": 0},
        },
    }

    def test_of_the_first_schema_is_read(self):
        """
        Datasets of one mask an image, from before there were other kinds, stay usable.
        """
        manifest = DatasetManifest.model_validate(self.FIRST)

        assert manifest.spec_of("segmentation").classes == ("a", "b")
        assert manifest.spec_of("depth") is None
        (item,) = manifest.items
        assert (item.image.path, item.image.sha256) == ("items/k.png", "11")
        assert item.labels["segmentation"].path == "items/k.mask.png"
        assert manifest.statistics["segmentation"].images_per_class == {"a": 1, "b": 0}

    def test_survives_json(self):
        """
        What was read is written as what it is, and read again.
        """
        manifest = DatasetManifest.model_validate(self.FIRST)

        assert manifest == DatasetManifest.model_validate_json(manifest.model_dump_json())
