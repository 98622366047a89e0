"""Files of NVIDIA's repositories: how they are packed, which network is read, what is noted."""

from functools import partial

import pytest
import torch
from support.nvidia_files import assert_holds, dumped, generator_object, module, torch_saved
from support.nvidia_networks import Variant, tensors_of

from models.checkpoints import nvidia
from models.checkpoints.containers import read_contents
from models.checkpoints.notes import Notes

FORMS = {
    "protocol 2": partial(dumped, protocol=2),
    "protocol 3": partial(dumped, protocol=3),
    "protocol 4": partial(dumped, protocol=4),
    "protocol 5": partial(dumped, protocol=5),
    "torch.save": torch_saved,
    "torch.save before 1.6": partial(torch_saved, legacy=True),
}
VARIANT = Variant()


@pytest.fixture
def tensors():
    """
    Those of a small generator, under the names files have.
    """
    return tensors_of(VARIANT)


@pytest.fixture
def read(tmp_path):
    """
    Reads an object through a file of its own: (generator, notes).
    """

    def read_object(value, form=dumped):
        path = tmp_path / "file"
        path.write_bytes(form(value))
        contents = read_contents(path)
        assert not contents.inert
        assert nvidia.recognises(contents.root)
        notes = Notes()
        return nvidia.build(contents.root, "file", notes), notes

    return read_object


class TestContainers:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("within", ["snapshot", "bare"])
    def test_every_form_gives_the_same_tensors(self, form, within, tensors, read):
        """
        Pickles of protocols 2 to 5 and both forms of `torch.save` hold a snapshot or a bare
        network, and all come through bit by bit.
        """
        one = generator_object(tensors)
        value = {"G_ema": one} if within == "snapshot" else one

        generator, notes = read(value, FORMS[form])

        assert_holds(generator, tensors)
        assert Notes() == notes

    def test_half_precision_tensors_become_float32(self, tensors, read):
        """
        A network that was stored in half precision computes in float32 with its weights.
        """
        halves = {name: tensor.half() for name, tensor in tensors.items()}

        generator, _ = read(generator_object(halves))

        assert_holds(generator, {name: tensor.float() for name, tensor in halves.items()})

    def test_memory_layout_does_not_matter(self, tensors, read):
        """
        Convolution weights that lie channels last in the file are the same weights.
        """
        turned = {
            name: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t
            for name, t in tensors.items()
        }
        assert any(not tensor.is_contiguous() for tensor in turned.values())

        generator, _ = read(generator_object(turned))

        assert_holds(generator, tensors)
        assert all(p.is_contiguous() for p in generator.parameters())


class TestChoice:
    def test_the_averaged_network_is_read(self, tensors, read):
        """
        Of a snapshot G_ema is read; what else lies there is noted.
        """
        other, d = generator_object(tensors_of(VARIANT, seed=1)), module("Discriminator")
        snapshot = {
            "training_set_kwargs": None,
            "G": other,
            "D": d,
            "G_ema": generator_object(tensors),
            "augment_pipe": module("AugmentPipe"),
        }

        generator, notes = read(snapshot)

        assert_holds(generator, tensors)
        assert notes.ignored == [
            "G: the generator before averaging",
            "D: the discriminator",
            "augment_pipe: the augmentation of the training images",
        ]

    def test_without_an_average_the_network_itself_is_read(self, tensors, read):
        """
        A file with G only gives G, and the notes say so.
        """
        generator, notes = read({"G": generator_object(tensors), "G_ema": None})

        assert_holds(generator, tensors)
        assert notes.inferred == ["network: G, for the file has no averaged one"]


class TestSettings:
    @pytest.mark.parametrize(
        ("fp16", "half_from"), [((), None), ((8, 16), 8), ((16,), 16), ((4, 8), None)]
    )
    def test_half_precision_is_what_the_last_blocks_ask_for(self, fp16, half_from, tensors, read):
        """
        Half precision begins where all finer blocks ask for it too.
        """
        generator, _ = read(generator_object(tensors, fp16=fp16))

        assert half_from == generator.config.half_from

    def test_clamp_and_multiplier_come_from_attributes(self, tensors, read):
        """
        What no shape tells is read from the objects.
        """
        one = generator_object(tensors, clamp=256, multiplier=0.02, architecture="skip")

        generator, _ = read(one)

        config = generator.config
        assert (config.conv_clamp, config.mapping_lr_multiplier) == (256.0, 0.02)

    def test_missing_mean_and_noise_are_made_and_noted(self, tensors, read):
        """
        A file without w_avg or stored noise gives the same generator each time, and says so.
        """
        kept = {n: t for n, t in tensors.items() if not n.endswith(("w_avg", "noise_const"))}

        (first, notes), (second, _) = (read(generator_object(kept)) for _ in range(2))

        for key, tensor in first.state_dict().items():
            assert torch.equal(tensor, second.state_dict()[key]), key
        assert first.w_avg.abs().max() > 0
        assert len(notes.estimated) == 2

    def test_a_missing_filter_is_taken_to_be_the_usual_one(self, tensors, read):
        """
        Without a stored filter it is 1, 3, 3, 1, and the notes say so.
        """
        kept = {n: t for n, t in tensors.items() if not n.endswith("resample_filter")}

        generator, notes = read(generator_object(kept))

        assert generator.config.fir == (1.0, 3.0, 3.0, 1.0)
        assert notes.inferred == ["resampling filter: 1, 3, 3, 1, not in the file"]
