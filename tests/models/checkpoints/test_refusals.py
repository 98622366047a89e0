import argparse
import io
import zipfile

import numpy as np
import pytest
import torch
from support.generator_files import random_generator, rosinality_state
from support.nvidia_files import Global, Pickler

from models.checkpoints import load_generator
from models.checkpoints.refusals import refusal
from models.checkpoints.unpickle import Inert, PersistedObject
from models.errors import CheckpointError

T = torch.zeros(1)

FILES = {
    "stylegan1, two ports": (
        [
            {"g_mapping.dense0.weight": T, "g_synthesis.blocks.4x4.const": T},
            {"generator": {"generator.progression.0.conv1.conv.weight": T, "style.1.weight": T}},
        ],
        "StyleGAN1",
    ),
    "stylegan3": (
        [
            {"G_ema": {"synthesis.input.freqs": T, "synthesis.L0_36_1024.weight": T}},
            {"synthesis.L0_36_512.weight": T, "mapping.fc0.weight": T},
        ],
        "StyleGAN3",
    ),
    "stylegan-xl": (
        [
            {"G_ema": Inert("dill._dill._create_type")},
            {"synthesis.input.freqs": T, "mapping.class_embed.weight": T},
        ],
        "StyleGAN-XL",
    ),
    "swagan": (
        [
            {"g_ema": {"iwt.ll": T}, "args": Inert("argparse.Namespace")},
            {"args": Inert("argparse.Namespace", state={"arch": "swagan"}), "g": {"x": T}},
        ],
        "SWAGAN",
    ),
    "lucidrains": (
        [{"GAN": {"G.initial_block": T, "S.net.0.weight": T}, "version": "1.5.0"}],
        "lucidrains",
    ),
    "alias-free": ([{"g_ema": {"input.freq": T, "style.1.weight": T}}], "alias-free"),
    "discriminator": (
        [
            {"d": {"final_conv.0.weight": T, "final_linear.1.weight": T}},
            {"D": PersistedObject("Discriminator", {})},
            PersistedObject("Discriminator", {}),
            {"b4.out.weight": T, "b4.fc.weight": T},
        ],
        "discriminator alone",
    ),
    "perceptual": (
        [
            {"lin0.model.1.weight": T, "lin1.model.1.weight": T},
            {"features.0.weight": T, "classifier.0.weight": T},
            {"net.slice1.0.weight": T},
        ],
        "perceptual distance",
    ),
    "backbone": (
        [
            {"conv1.weight": T, "layer1.0.conv1.weight": T, "fc.weight": T},
            {"input_layer.0.weight": T, "body.0.res_layer.1.weight": T},
        ],
        "a classifier",
    ),
    "encoder": (
        [
            {"state_dict": {"encoder.body.0.res_layer.1.weight": T, "decoder.x": T}, "opts": {}},
            {"encoder.styles.0.linear.weight": T},
            {"input_layer.0.weight": T, "styles.0.linear.weight": T},
        ],
        "register it as an encoder",
    ),
    "latents": (
        [
            torch.zeros(1, 18, 512),
            np.zeros((1, 18, 512)),
            {"a.png": {"img": T, "latent": T, "noise": [T]}},
        ],
        "give them to an inversion",
    ),
    "factors": ([{"ckpt": "g.pt", "eigvec": T}], "directions"),
    "torchscript": ([Inert("__torch__.vgg.VGG16")], "TorchScript"),
}


@pytest.mark.parametrize(
    ("root", "named"),
    [(root, named) for roots, named in FILES.values() for root in roots],
    ids=[f"{kind} {i}" for kind, (roots, _) in FILES.items() for i in range(len(roots))],
)
def test_known_files_are_named(root, named):
    """
    What the file is stands in the sentence, and what can be done.
    """
    assert named in refusal(root)


@pytest.mark.parametrize("root", [None, 3, [], {}, {"x": T}, {"a": {"b": {"c": {"d": T}}}}])
def test_unknown_files_are_not_guessed_at(root):
    """
    What is not known gets no name.
    """
    assert refusal(root) is None


def test_generators_are_not_refused():
    """
    A generator that can be read is none of these, whatever stands beside it.
    """
    state = rosinality_state(random_generator())

    assert refusal(state) is None
    assert refusal({"g_ema": state, "args": Inert("argparse.Namespace", state={})}) is None


class TestFiles:
    def test_an_encoder_given_as_a_generator(self, tmp_path):
        """
        The answer for a file names it and says what to do.
        """
        opts = {"encoder_type": "BackboneEncoder"}
        state = {"encoder.input_layer.0.weight": T, "decoder.style.1.weight": T}
        torch.save({"state_dict": state, "opts": opts}, tmp_path / "e.pt")

        with pytest.raises(CheckpointError, match=r"e\.pt holds an encoder .*as an encoder"):
            load_generator(tmp_path / "e.pt")

    def test_swagan_among_a_trainings_settings(self, tmp_path):
        """
        The architecture in a Namespace is read, though the class is not.
        """
        arguments = argparse.Namespace(arch="swagan")
        torch.save({"g_ema": {"x": T}, "args": arguments}, tmp_path / "g.pt")

        with pytest.raises(CheckpointError, match="SWAGAN"):
            load_generator(tmp_path / "g.pt")

    @pytest.mark.parametrize(
        "page", [b"<!DOCTYPE html><title>Quota exceeded</title>", b"\n <html><body>Sign in"]
    )
    def test_a_download_page(self, tmp_path, page):
        """
        A page that was saved instead of the file is told as such.
        """
        (tmp_path / "g.pkl").write_bytes(page)

        with pytest.raises(CheckpointError, match="web page"):
            load_generator(tmp_path / "g.pkl")

    def test_arrays(self, tmp_path):
        """
        Latents in numpy's format are told as such.
        """
        np.save(tmp_path / "latents.npy", np.zeros((2, 6, 8), np.float32))

        with pytest.raises(CheckpointError, match="latents"):
            load_generator(tmp_path / "latents.npy")

    def test_a_program(self, tmp_path):
        """
        A TorchScript file is code; it is neither run nor taken for a network.
        """
        buffer = io.BytesIO()
        Pickler(buffer, protocol=2).dump(Program())
        with zipfile.ZipFile(tmp_path / "vgg16.pt", "w") as archive:
            archive.writestr("vgg16/data.pkl", buffer.getvalue())
            archive.writestr("vgg16/code/__torch__/vgg.py", "raise SystemExit")

        with pytest.raises(CheckpointError, match="TorchScript"):
            load_generator(tmp_path / "vgg16.pt")


class Program:
    """A network whose class is in the file's own code."""

    def __reduce__(self):
        return Global("__torch__.vgg", "VGG16"), ()
