import re

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support import generations

from models.data.card import generation_card, quoted
from models.labels import SegmentationSpec


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
