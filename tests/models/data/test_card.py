import re
from typing import ClassVar

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support import generations

from models.data.card import generation_card
from models.data.images import encode_png
from models.data.kinds import kind_of
from models.data.manifest import GenerationStatistics
from models.data.shards import ShardSample, write_shard
from models.data.text import quoted
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec


def card(tmp_path, count=7, image_format="png", spec=generations.SPEC, **changes):
    """
    The card of a generation that was written below `tmp_path`.
    """
    fragments = generations.write_generation(tmp_path, count, image_format, spec)
    manifest = generations.manifest(fragments, spec, **changes)
    return generation_card(manifest, image_format, generations.SIZE)


def head(text):
    """
    The YAML at a card's head, read.
    """
    return yaml.safe_load(text.split("---\n")[1])


class TestHead:
    @pytest.mark.parametrize("image_format", ["png", "jpg", "webp"])
    def test_types_every_field(self, tmp_path, image_format):
        """
        Each field of a sample, and no other, has its type, so that loaders need not guess.
        """
        features = {
            feature["name"]: feature
            for feature in head(card(tmp_path, image_format=image_format))["dataset_info"][
                "features"
            ]
        }

        assert {image_format, "mask.png", "json", "__key__", "__url__"} == features.keys()
        assert "image" == features[image_format]["dtype"] == features["mask.png"]["dtype"]
        fields = {field["name"]: field for field in features["json"]["struct"]}
        facts = generations.info(0).model_dump(exclude_none=True)
        assert facts.keys() == fields.keys()
        for name in facts.keys() - {"class_pixel_share"}:
            assert {int: "int64", float: "float64"}[type(facts[name])] == fields[name]["dtype"]
        shares = fields["class_pixel_share"]["struct"]
        assert [(name, "float64") for name in generations.SPEC.classes] == [
            (share["name"], share["dtype"]) for share in shares
        ]

    def test_types_the_class_of_a_conditional_generator(self, tmp_path):
        """
        Where samples say which class was drawn, that field has its type too.
        """
        read = head(card(tmp_path, plan={"class_shares": [0.5, 0.5]}))

        (json,) = (f for f in read["dataset_info"]["features"] if f["name"] == "json")
        assert {"name": "label", "dtype": "int64"} in json["struct"]

    @pytest.mark.parametrize(
        ("licence", "expected"),
        [
            ("", {"license": "unknown"}),
            ("CC-BY-4.0", {"license": "cc-by-4.0"}),
            ("ask: me #1", {"license": "other", "license_name": "ask: me #1"}),
        ],
    )
    def test_names_the_licence(self, tmp_path, licence, expected):
        """
        A licence that is known by name is named; any other is written out.
        """
        read = head(card(tmp_path, licence=licence))

        assert expected == {key: read[key] for key in read if key.startswith("license")}

    @pytest.mark.parametrize(("count", "words"), [(999, "n<1K"), (1000, "1K<n<10K")])
    def test_names_the_size(self, tmp_path, count, words):
        """
        The size category is the one the number of samples is in.
        """
        assert [words] == head(card(tmp_path, samples=count))["size_categories"]

    def test_says_that_images_are_synthetic(self, tmp_path):
        """
        Nobody may take the images for photographs.
        """
        text = card(tmp_path)

        assert "synthetic" in head(text)["tags"]
        assert "**Synthetic**" in text

    def test_points_to_the_shards(self, tmp_path):
        """
        The loader finds the shards by their folder.
        """
        (config,) = head(card(tmp_path))["configs"]

        assert config["data_files"] == [{"split": "train", "path": "data/shard-*.tar"}]


class TestSeveralKinds:
    """
    A generation of masks, keypoints and depth.
    """

    LABELS = (generations.SPEC, KeypointsSpec(names=("nose | tip",)), DepthSpec(unit="cm"))
    DEPTH: ClassVar = {"smallest": 1.0, "mean": 2.0, "largest": 3.0, "labelled_share": 1.0}

    def card(self, tmp_path):
        """
        Its card.
        """
        statistics = GenerationStatistics(
            class_pixel_share=dict.fromkeys(generations.SPEC.classes, 0.3),
            keypoint_confidence={"nose | tip": 0.75},
            depth=self.DEPTH,
        )
        return card(tmp_path, labels=self.LABELS, statistics=statistics)

    def test_types_every_file(self, tmp_path):
        """
        Points are lists of floats, depth is an array of the pictures' size, and the facts have
        the figures of each kind.
        """
        read = head(self.card(tmp_path))

        features = {feature["name"]: feature for feature in read["dataset_info"]["features"]}
        shape = {"array2_d": {"dtype": "float32", "shape": list(generations.SIZE)}}
        assert features["depth.npy"]["dtype"] == shape
        points = {
            field["name"]: field["sequence"] for field in features["keypoints.json"]["struct"]
        }
        assert points == {"confidence": "float64", "keypoints": "float64", "names": "string"}
        facts = {field["name"]: field for field in features["json"]["struct"]}
        assert [f["name"] for f in facts["scores"]["struct"]] == [s.kind for s in self.LABELS]
        assert [f["name"] for f in facts["depth"]["struct"]] == list(self.DEPTH)
        tasks = ["image-segmentation", "keypoint-detection", "depth-estimation"]
        assert read["task_categories"] == tasks

    @pytest.mark.filterwarnings("ignore::ResourceWarning")  # WebDataset's own.
    def test_its_example_reads_every_kind(self, tmp_path, monkeypatch):
        """
        The program in the card runs as it stands, and gives labels as arrays and lists.
        """
        arrays = (np.ones((8, 6), np.uint8), np.float32([[1, 2, 2]]), np.ones((8, 6), np.float32))
        pairs = zip(map(kind_of, self.LABELS), arrays, strict=True)
        members = {kind.member: kind.encode(array) for kind, array in pairs}
        picture = encode_png(generations.content(0)[0])
        sample = ShardSample("000000000", {"png": picture, "json": b"{}", **members})
        text = self.card(tmp_path / "made")
        (program,) = re.findall(r"```python\n(import io.*?)```", text, re.DOTALL)
        folder = tmp_path / "one"
        (folder / "data").mkdir(parents=True)
        for shard in range(3):
            write_shard(folder / f"data/shard-{shard:06d}.tar", [sample])
        seen = []
        monkeypatch.chdir(folder)

        exec(program + "    seen.append((mask, keypoints, depth))\n", {"seen": seen})

        mask, keypoints, depth = seen[0]
        np.testing.assert_array_equal(arrays[0], mask)
        assert keypoints["keypoints"] == [2.0, 1.0, 2.0]
        np.testing.assert_array_equal(arrays[2], depth)

    def test_says_what_each_label_is(self, tmp_path):
        """
        People learn of the classes, the points, the unit, and how to read each file.
        """
        text = self.card(tmp_path)

        assert "| 0 | background | `#181a26` | 30.00 % |\n" in text
        assert "| 0 | nose \\| tip | 0.75 |\n" in text
        assert "Depth in cm: 2 on average" in text
        for name in ("mask.png", "keypoints.json", "depth.npy"):
            assert f"- `{name}`: " in text
            assert f' = sample["{name}"]\n' in text


@settings(deadline=None)
@given(st.text())
def test_any_text_can_be_quoted(text):
    """
    Whatever a user calls a class, YAML reads it as it was.
    """
    assert text == yaml.safe_load(quoted(text))


class TestText:
    @pytest.mark.filterwarnings("ignore::ResourceWarning")  # WebDataset's own.
    @pytest.mark.parametrize(("count", "image_format"), [(2, "png"), (7, "webp")])
    def test_its_example_reads_the_shards(self, tmp_path, monkeypatch, count, image_format):
        """
        The program in the card runs as it stands, and finds every sample with its exact mask.
        """
        text = card(tmp_path, count, image_format)
        (program,) = re.findall(r"```python\n(import io.*?)```", text, re.DOTALL)
        seen = []
        monkeypatch.chdir(tmp_path)

        exec(program + "    seen.append((image, mask, facts))\n", {"seen": seen})

        assert count == len(seen)
        for image, mask, facts in seen:
            assert image.size == (6, 8)
            np.testing.assert_array_equal(generations.content(facts["index"])[1], mask)

    def test_lists_the_classes(self, tmp_path):
        """
        A class's row has its id, its colour and its share, and its name breaks no table.
        """
        spec = SegmentationSpec(classes=("a", "b | <i>\nc"), palette=((1, 2, 3), (255, 0, 16)))
        shares = {"class_pixel_share": {"a": 0.25, "b | <i>\nc": 0.75}}

        text = card(tmp_path, label=spec, statistics=shares)

        assert "| 0 | a | `#010203` | 25.00 % |\n" in text
        assert "| 1 | b \\| \\<i\\> c | `#ff0010` | 75.00 % |\n" in text

    def test_explains_pixels_without_a_label(self, tmp_path):
        """
        Where there is an ignore_index, a reader learns of it.
        """
        spec = generations.SPEC.model_copy(update={"ignore_index": 255})

        assert "Pixels of 255 have no label." in card(tmp_path / "a", spec=spec)
        assert "have no label" not in card(tmp_path / "b")

    def test_says_how_many_were_left_out(self, tmp_path):
        """
        The selection is part of what a dataset is.
        """
        assert "Of 10 drawn, the 30.0 % whose labels" in card(tmp_path / "a")
        kept = card(tmp_path / "b", candidates=7, dropped_share=0.0)
        assert "All that were drawn were kept." in kept
