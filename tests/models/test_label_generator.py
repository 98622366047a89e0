import pytest
import torch
from support.networks import SPEC, small_generator, small_label_generator

from models import hypercolumns
from models.errors import CheckpointError
from models.heads import head_of
from models.heads.base import Vote
from models.label_generator import (
    image_scores,
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

        assert torch.equal(expected.labels, got.masks.flatten())
        torch.testing.assert_close(expected.uncertainty, got.uncertainty.flatten())

    def test_an_image_alone_gets_the_same_label(self):
        """
        What else is in the batch does not matter.
        """
        generator = small_generator()
        made, features = small_label_generator(generator), features_of(generator)

        together = made.predict(features).masks
        alone = [made.predict([f[i : i + 1] for f in features]).masks for i in range(3)]

        assert torch.equal(together, torch.cat(alone))

    def test_many_members_go_in_tiles(self):
        """
        An ensemble too wide for one tile gives the same as by the definition.
        """
        generator = small_generator(size=32)
        made = small_label_generator(generator, members=16, hidden=(256, 4))
        features = features_of(generator, n=1)
        expected = head_of(SPEC).decide(slowly(made, features), Vote.SOFT)

        got = made.predict(features)

        assert torch.equal(expected.labels, got.masks.flatten())

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
