import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.features import assert_near
from support.networks import ALL_KINDS, DEPTH, POINTS, SPEC, small_generator, small_label_generator

from models import hypercolumns
from models.errors import CheckpointError
from models.heads import head_of
from models.heads.base import Vote, image_scores
from models.heatmaps import peaks
from models.label_generator import (
    label_size,
    load_label_generator,
    save_label_generator,
)
from models.labels import SegmentationSpec


def features_of(generator, n=3, seed=0):
    """
    The maps of n random images.
    """
    z = torch.randn(n, generator.z_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return generator.synthesize_with_features(generator.map(z))[1]


def slowly(label_generator, features):
    """
    Outputs [M, N * H * W, K] by the definition: whole hypercolumns, member by member.
    """
    x = hypercolumns.everywhere(features, label_generator.size).permute(0, 2, 3, 1).flatten(0, 2)
    layers = label_generator.layers
    outputs = []
    for m in range(len(layers.b1)):
        h = (x @ layers.w1[m].T + layers.b1[m]).relu()
        h = (h @ layers.w2[m].T + layers.b2[m]).relu()
        outputs.append(h @ layers.w3[m].T + layers.b3[m])
    return torch.stack(outputs)


class TestPredict:
    @pytest.mark.parametrize("vote", list(Vote))
    def test_agrees_with_mlps_on_hypercolumns(self, vote):
        """
        Labels and uncertainty are those of plain MLPs on whole hypercolumns.
        """
        generator = small_generator()
        made = small_label_generator(generator, vote=vote)
        features = features_of(generator)
        expected = head_of(SPEC).decide(slowly(made, features), vote)

        got = made.predict(features)

        assert torch.equal(expected.values[:, 0], got.values.flatten())
        torch.testing.assert_close(expected.uncertainty, got.uncertainty.flatten())

    def test_keypoints_are_the_peaks_of_whole_heat_maps(self):
        """
        Tiles and portions are put together before peaks are looked for.
        """
        generator = small_generator(size=32)
        made = small_label_generator(generator, members=16, hidden=(256, 4), spec=POINTS)
        features = features_of(generator, n=2)
        outputs = slowly(made, features).view(16, 2, 32, 32, 2)
        expected = peaks(outputs.mean(dim=0).movedim(-1, 1))  # [N, K, 3]

        got = made.predict(features).values

        assert got.shape == (2, 2, 4)
        torch.testing.assert_close(got[..., :2], expected[..., :2], atol=0.01, rtol=0)
        torch.testing.assert_close(got[..., 3], expected[..., 2])

    def test_depth_is_the_mean_of_the_members(self):
        """
        In the unit of the depth that was learnt, within its range.
        """
        generator = small_generator()
        learnt = {"mean": 4.0, "deviation": 1.5}
        made = small_label_generator(generator, spec=DEPTH, learnt=learnt)
        features = features_of(generator)
        expected = (slowly(made, features).mean(dim=0) * 1.5 + 4.0).clamp(0.1, 9.0)

        got = made.predict(features).values

        assert got.shape == (3, 16, 16)
        torch.testing.assert_close(expected.flatten(), got.flatten())

    @pytest.mark.parametrize("spec", ALL_KINDS, ids=lambda spec: spec.kind)
    def test_an_image_alone_gets_the_same_label(self, spec):
        """
        What else is in the batch does not matter.
        """
        generator = small_generator()
        made, features = small_label_generator(generator, spec=spec), features_of(generator)

        together = made.predict(features).values
        alone = [made.predict([f[i : i + 1] for f in features]).values for i in range(3)]

        torch.testing.assert_close(together, torch.cat(alone))

    @pytest.mark.parametrize("hidden", [(700, 4), (300, 4), (100, 4)])
    def test_wide_members_go_in_tiles_and_one_after_the_other(self, hidden):
        """
        An ensemble too wide for one tile, or for one pass, gives the same as by the definition.
        """
        generator = small_generator(size=64)
        made = small_label_generator(generator, members=4, hidden=hidden)
        features = features_of(generator, n=1)
        expected = head_of(SPEC).decide(slowly(made, features), Vote.SOFT)

        got = made.predict(features)

        assert torch.equal(expected.values[:, 0], got.values.flatten())

    def test_outputs_are_those_of_each_member(self):
        """
        Before the vote every member's logits are within 1e-5 of the largest.
        """
        generator = small_generator(size=32)
        made = small_label_generator(generator, members=5, hidden=(200, 7))
        features = features_of(generator)

        got = made.outputs(features)

        assert got.shape == (5, 3, 3, 32, 32)
        assert_near(got.movedim(1, -1).flatten(1, 3), slowly(made, features))

    def test_the_same_bytes_each_time(self):
        """
        The same batch gives the same numbers, to the last bit.
        """
        generator = small_generator(size=32)
        made = small_label_generator(generator, members=5, hidden=(200, 7))
        features = features_of(generator)

        first, second = (made.predict(features).uncertainty for _ in range(2))

        assert torch.equal(first, second)

    def test_refuses_the_features_of_another_generator(self):
        """
        Maps of other shapes than those learnt from are an error that shows both.
        """
        made = small_label_generator(small_generator(size=16))

        with pytest.raises(ValueError, match=r"trained on maps .*, given "):
            made.predict(features_of(small_generator(size=8)))


class TestImageScore:
    def test_is_the_mean_of_the_most_uncertain_tenth(self):
        """
        Of 25 pixels the two most uncertain count; of fewer than ten, one.
        """
        uncertainty = torch.arange(25.0).view(1, 5, 5)

        assert image_scores(uncertainty).tolist() == [23.5]
        assert image_scores(torch.arange(9.0).view(1, 3, 3)).tolist() == [8.0]


class TestFile:
    def test_brings_back_everything(self, tmp_path):
        """
        What is loaded labels as what was saved, and knows the same about itself.
        """
        spec = SegmentationSpec(classes=("x", "y"), palette=((0, 0, 0), (1, 2, 3)), ignore_index=9)
        generator = small_generator()
        made = small_label_generator(generator, spec=spec, vote=Vote.HARD)
        path = tmp_path / "ensemble.safetensors"

        save_label_generator(made, path)
        back = load_label_generator(path)

        features = features_of(generator)
        assert torch.equal(made.predict(features).uncertainty, back.predict(features).uncertainty)
        for name in ("spec", "size", "vote", "feature_shapes", "generator_sha256"):
            assert getattr(made, name) == getattr(back, name)

    def test_keeps_what_the_head_learnt(self, tmp_path):
        """
        Depth comes back in its own unit.
        """
        generator = small_generator()
        learnt = {"mean": 4.0, "deviation": 0.5}
        made = small_label_generator(generator, spec=DEPTH, learnt=learnt)

        save_label_generator(made, tmp_path / "ensemble")
        back = load_label_generator(tmp_path / "ensemble")

        assert learnt == back.learnt
        features = features_of(generator)
        assert torch.equal(made.predict(features).values, back.predict(features).values)

    def test_files_of_before_heads_learnt_are_read(self, tmp_path):
        """
        A file that says nothing of what was learnt is of masks, which need nothing.
        """
        made = small_label_generator(small_generator())
        path = tmp_path / "ensemble"
        save_label_generator(made, path)
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
        about = json.loads(header["about"])
        del about["learnt"]
        save_file(load_file(path), path, metadata={**header, "about": json.dumps(about)})

        assert load_label_generator(path).spec == made.spec

    def test_refuses_other_files(self, tmp_path):
        """
        A file that is no safetensors, or of another kind, is named in the error.
        """
        other = tmp_path / "other"
        other.write_bytes(b"no tensors")

        with pytest.raises(CheckpointError, match="other is not a safetensors file"):
            load_label_generator(other)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ((64, 64), (64, 64)),
        ((512, 512), (512, 512)),
        ((1024, 1024), (512, 512)),
        ((1024, 512), (512, 256)),
    ],
)
def test_labels_have_at_most_512_rows(images, labels):
    """
    A label is as large as its image, or half as large as often as need be.
    """
    assert labels == label_size(images)
