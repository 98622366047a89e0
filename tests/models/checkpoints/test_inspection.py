import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.encoders import encoder_file, rosinality_shapes, small_config, small_encoder
from support.networks import small_generator

from models.checkpoints import __main__ as command
from models.checkpoints import load_generator
from models.checkpoints.inspection import open_any, open_encoder, open_generator
from models.checkpoints.neutral import save_generator
from models.checkpoints.reports import lines_of
from models.checkpoints.samples import sample_sheet
from models.encoders.neutral import save_encoder
from models.errors import CheckpointError

GOLDEN = Path(__file__).parents[2] / "golden"
DECODER = rosinality_shapes(16, (6, 5, 4), w_dim=8, depth=2)


def encoder_path(folder, **options):
    """
    A ReStyle file with a generator of 16 pixels inside, written below `folder`.
    """
    config = small_config(in_channels=6, input_size=(256, 256))
    torch.save(encoder_file(config, DECODER, **options), folder / "encoder.pt")
    return folder / "encoder.pt"


class TestGenerators:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("nv_r32_cond.pkl", {"family": "nvidia", "label_dim": 5, "conv_clamp": None}),
            ("nv_r64_auto.pkl", {"conv_clamp": 256, "half_from": 8, "architecture": "skip"}),
            ("sghuman_r64x32.pkl", {"image_shape": [3, 64, 32], "num_ws": 10}),
            ("ros_r32.pt", {"family": "rosinality", "use_noise": True, "w_dim": 32}),
        ],
    )
    def test_are_described(self, name, expected):
        """
        Family, shapes and settings, and the bytes and digest of the file they were read from.
        """
        found = open_generator(GOLDEN / name).document()

        assert expected == {key: found[key] for key in expected}
        data = (GOLDEN / name).read_bytes()
        assert (found["original"]["bytes"], found["original"]["sha256"]) == (
            len(data),
            hashlib.sha256(data).hexdigest(),
        )
        rows = list(map(int, found["channels"]))
        assert (rows[0], rows[-1]) == (4, found["image_shape"][1])
        json.dumps(found, allow_nan=False)

    def test_notes_say_what_was_made_up_and_left_out(self):
        """
        A training's file has no mean w, carries more than a generator, and names things of
        Python's that were not imported.
        """
        found = open_generator(GOLDEN / "ros_r64_cm1_train.pt").document()

        assert any("w_avg" in note for note in found["notes"]["estimated"])
        assert any("discriminator" in note for note in found["notes"]["ignored"])
        assert found["inert"] == ["argparse.Namespace"]


class TestEncoders:
    def test_are_described(self, tmp_path):
        """
        Kind, backbone, head, codes and input, and the generator that came with it.
        """
        path = encoder_path(tmp_path, encoder_type="ProgressiveBackboneEncoder")

        found = open_encoder(path).document()

        assert (found["what"], found["kind"], found["family"]) == ("encoder", "restyle-e4e", "e4e")
        assert (found["backbone"], found["head"]) == ("ir-se50", "last-map")
        assert (found["num_ws"], found["w_dim"]) == (6, 8)
        assert (found["input_shape"], found["iterations"]) == ([6, 256, 256], 5)
        assert found["own_mean"] is True
        assert found["generator"] == {"image_shape": [3, 16, 16], "num_ws": 6}

    def test_may_need_to_be_told_their_family(self, tmp_path):
        """
        Where a file does not say how its codes are meant, the caller does.
        """
        path = encoder_path(tmp_path)

        with pytest.raises(CheckpointError, match="family 'psp' or 'e4e'"):
            open_any(path)
        assert open_encoder(path, "e4e").document()["kind"] == "restyle-e4e"

    def test_hold_a_generator_too(self, tmp_path):
        """
        Asked for a generator, an encoder's file gives the one inside it.
        """
        path = encoder_path(tmp_path, encoder_type="BackboneEncoder")

        assert open_any(path).document()["what"] == "encoder"
        assert open_generator(path).document()["image_shape"] == [3, 16, 16]


class TestOwnFiles:
    def test_are_told_apart(self, tmp_path):
        """
        Both neutral layouts are safetensors; what is inside says which is which.
        """
        save_generator(small_generator(), tmp_path / "one")
        save_encoder(small_encoder(), tmp_path / "other")

        found = [open_any(tmp_path / name).document() for name in ("one", "other")]

        assert [each["what"] for each in found] == ["generator", "encoder"]
        assert {each["original"]["container"] for each in found} == {"safetensors"}


class TestLines:
    def test_people_read_them(self):
        """
        A note a line, shapes with crosses, and nothing left out but what is empty.
        """
        document = {
            "schema_version": 1,
            "image_shape": [3, 64, 32],
            "channels": {"4": 16, "8": 8},
            "conv_clamp": None,
            "use_noise": True,
            "parameters": 29568,
            "notes": {"inferred": ["a", "b"], "ignored": []},
        }

        assert list(lines_of(document)) == [
            ("image shape", "3 x 64 x 32"),
            ("channels", "4: 16, 8: 8"),
            ("conv clamp", "none"),
            ("use noise", "yes"),
            ("parameters", "29,568"),
            ("notes inferred", "a"),
            ("notes inferred", "b"),
        ]


class TestSamples:
    def test_a_seed_is_its_picture(self):
        """
        Whatever is drawn beside it, a seed is the same picture.
        """
        generator = load_generator(GOLDEN / "nv_r32.pkl")
        alone, together = sample_sheet(generator, [3]), sample_sheet(generator, [2, 3])

        one = together[:, together.shape[1] - (alone.shape[1] - 4) :]

        assert (one[4:-4, :-4] == alone[4:-4, 4:-4]).mean() > 0.99

    def test_classes_are_chosen_or_take_turns(self):
        """
        A conditional generator draws the class that is asked for; none that it does not know.
        """
        generator = small_generator(label_dim=2)

        turns, chosen = (sample_sheet(generator, [0, 1], label=label) for label in (None, 0))

        half = turns.shape[1] // 2
        assert (turns[:, :half] == chosen[:, :half]).all()
        assert (turns != chosen).any()
        with pytest.raises(ValueError, match="class 2 is none of the generator's"):
            sample_sheet(generator, [0], label=2)

    def test_grey_generators_have_grey_pictures(self):
        """
        One channel is shown as three equal ones.
        """
        sheet = sample_sheet(small_generator(channels=1), [0])

        assert np.ptp(sheet, axis=-1).max() == 0


class TestCommand:
    def run(self, capsys, *words):
        """
        Exit status and what was printed.
        """
        status = command.main([str(word) for word in words])
        said = capsys.readouterr()
        return status, said.out, said.err

    def test_inspects_for_people_and_for_machines(self, capsys):
        """
        The same document as lines and as JSON.
        """
        path = GOLDEN / "ros_r32.pt"

        status, out, _ = self.run(capsys, "inspect", path)
        _, as_json, _ = self.run(capsys, "inspect", path, "--json")

        assert status == 0
        assert "rosinality" in out
        assert json.loads(as_json) == open_generator(path).document()

    @pytest.mark.parametrize("ending", ["safetensors", "pt"])
    def test_converts(self, capsys, tmp_path, ending):
        """
        What was converted, to our layout or to rosinality's, has the same tensors.
        """
        out = tmp_path / f"out.{ending}"

        status, _, _ = self.run(capsys, "convert", GOLDEN / "ros_r32.pt", out)

        assert status == 0
        before, after = (load_generator(p).state_dict() for p in (GOLDEN / "ros_r32.pt", out))
        assert all(torch.equal(before[key], after[key]) for key in before)

    def test_converts_encoders(self, capsys, tmp_path):
        """
        An encoder is kept without the generator, which can be had from the same file: that is
        said.
        """
        path = encoder_path(tmp_path, encoder_type="BackboneEncoder")

        _, said, _ = self.run(capsys, "convert", path, tmp_path / "e.safetensors")
        self.run(capsys, "convert", path, tmp_path / "g.safetensors", "--as", "generator")

        assert "generator: convert the file as a generator too" in said
        assert open_any(tmp_path / "e.safetensors").document()["generator"] is None
        assert open_any(tmp_path / "g.safetensors").document()["what"] == "generator"

    def test_samples(self, capsys, tmp_path):
        """
        Ten seeds are two rows of pictures.
        """
        out = tmp_path / "sheet.png"

        status, said, _ = self.run(
            capsys, "sample", GOLDEN / "ros_r32.pt", "--seeds", "0-8,20", "--out", out, "--json"
        )

        assert status == 0
        assert json.loads(said)["seeds"] == [*range(9), 20]
        with Image.open(out) as sheet:
            assert sheet.size == (8 * 196 + 4, 2 * 196 + 4)

    def test_refuses_in_words(self, capsys, tmp_path):
        """
        A file that is no checkpoint is an answer, not a traceback.
        """
        (tmp_path / "page.pkl").write_text("<html>")

        status, _, err = self.run(capsys, "inspect", tmp_path / "page.pkl")
        again, out, _ = self.run(capsys, "inspect", tmp_path / "page.pkl", "--json")

        assert (status, again) == (2, 2)
        assert "web page" in err
        assert "web page" in json.loads(out)["error"]["message"]

    @pytest.mark.parametrize("text", ["", "a", "3-1", "0-5000", "4294967296"])
    def test_odd_seeds_are_wrong_usage(self, text, capsys):
        """
        Seeds that make no list end before anything is read.
        """
        with pytest.raises(SystemExit) as ended:
            command.main(["sample", "none.pkl", "--seeds", text])

        assert ended.value.code == 2
        assert "--seeds" in capsys.readouterr().err

    def test_says_what_to_install(self, tmp_path):
        """
        Where PyTorch is missing, the answer is how to get it.
        """
        (tmp_path / "torch.py").write_text(
            "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
        )
        words = ["inspect", GOLDEN / "ros_r32.pt", "--json"]

        done = subprocess.run(
            [sys.executable, "-m", "models.checkpoints", *words],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )

        assert done.returncode == 9
        error = json.loads(done.stdout)["error"]
        assert error["code"] == "torch_missing"
        assert "handsoff[worker]" in error["message"]
