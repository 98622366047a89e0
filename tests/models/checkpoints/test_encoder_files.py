from dataclasses import replace

import pytest
import torch
from support.encoders import encoder_file, rosinality_shapes, small_config

from models.checkpoints import encoders, load_encoder
from models.checkpoints.notes import Notes
from models.encoders.config import Backbone, Family, Head
from models.errors import CheckpointError

DECODER = rosinality_shapes(16, (6, 5, 4), w_dim=8, depth=2)
IR, RESNET = Backbone.IR_SE50, Backbone.RESNET34

LAYOUTS = [
    ("GradualStyleEncoder", IR, Head.FPN, Family.PSP, 3),
    ("Encoder4Editing", IR, Head.FPN, Family.E4E, 3),
    ("BackboneEncoder", IR, Head.LAST_MAP, Family.PSP, 6),
    ("ProgressiveBackboneEncoder", IR, Head.LAST_MAP, Family.E4E, 6),
    ("GradualStyleEncoder", IR, Head.FPN, Family.PSP, 6),
    ("ResNetGradualStyleEncoder", RESNET, Head.FPN, Family.PSP, 6),
    ("ResNetBackboneEncoder", RESNET, Head.LAST_MAP, Family.PSP, 6),
    ("ResNetProgressiveBackboneEncoder", RESNET, Head.LAST_MAP, Family.E4E, 6),
    ("BackboneEncoderUsingLastLayerIntoW", IR, Head.W, Family.PSP, 3),
    ("SingleStyleCodeEncoder", IR, Head.W, Family.E4E, 3),
    ("BackboneEncoderUsingLastLayerIntoWPlus", IR, Head.W_PLUS, Family.PSP, 19),
]

psp = small_config(input_size=(256, 256))
sketch = small_config(input_size=(256, 256), in_channels=1)


def encoder_of(root, **asked):
    """The encoder of a file's objects, and what was noted."""
    notes = Notes()
    return encoders.build_from(root, "here", notes, **asked), notes


def written(root, tmp_path):
    torch.save(root, tmp_path / "encoder.pt")
    return tmp_path / "encoder.pt"


class TestLayouts:
    @pytest.mark.parametrize("encoder_type, backbone, head, family, channels", LAYOUTS)
    def test_are_told_apart(self, encoder_type, backbone, head, family, channels, tmp_path):
        """
        Every encoder of pSp, e4e, ReStyle-pSp and ReStyle-e4e is read with its tensors, its mean
        code and its generator.
        """
        config = small_config(
            backbone=backbone,
            head=head,
            family=family,
            in_channels=channels,
            num_codes=1 if head is Head.W else 6,
            input_size=(256, 256),
        )
        root = encoder_file(config, DECODER, encoder_type=encoder_type, device="cuda:0")

        encoder = load_encoder(written(root, tmp_path))

        assert config == encoder.config
        assert torch.equal(root["latent_avg"], encoder.latent_avg)
        state = root["state_dict"]
        for key, tensor in encoder.backbone.state_dict().items():
            assert key.endswith("tracked") or torch.equal(tensor, state[f"encoder.{key}"])
        for key, tensor in encoder.head.state_dict().items():
            assert key.endswith("tracked") or torch.equal(tensor, state[f"encoder.{key}"])
        constant = encoder.generator.synthesis.constant
        assert torch.equal(constant, state["decoder.input.input"][0])

    def test_codes_draw_the_files_generator(self, tmp_path):
        """
        A file is enough to encode a picture and to draw it again, in batches, ReStyle's loop too.
        """
        config = small_config(in_channels=6)
        root = encoder_file(config, DECODER, encoder_type="BackboneEncoder")
        encoder = load_encoder(written(root, tmp_path), input_size=(32, 32))

        ws = encoder.encode(torch.rand(2, 3, 40, 40))

        assert encoder.generator.synthesize(ws).shape == (2, 3, 16, 16)
        assert ws.isfinite().all()

    @pytest.mark.parametrize("wrap", ["module.", ""])
    def test_bare_state_dicts_are_read(self, wrap):
        """
        Without options around it, and with the prefix of parallel training, a state dict is read
        if its family is said.
        """
        state = encoder_file(psp)["state_dict"]  # and no mean code
        root = {f"{wrap}{key}": tensor for key, tensor in state.items()}

        encoder, _ = encoder_of(root, family=Family.PSP)

        assert replace(psp, own_mean=False) == encoder.config

    @pytest.mark.parametrize("backbone", [IR, RESNET])
    def test_prefixes_may_be_gone(self, backbone):
        """
        The encoder's tensors alone, as some tools export them, are read too.
        """
        config = small_config(backbone=backbone, input_size=(256, 256))
        state = encoder_file(config)["state_dict"]
        root = {key.removeprefix("encoder."): tensor for key, tensor in state.items()}

        encoder, _ = encoder_of({"state_dict": root}, family=Family.PSP)

        assert replace(config, own_mean=False) == encoder.config

    def test_the_generator_can_be_had_alone(self):
        """
        The generator in such a file is a generator like any other, its mean w the mean code.
        """
        root = encoder_file(psp, DECODER, encoder_type="BackboneEncoder")

        assert encoders.recognises(root)
        generator = encoders.build(root, "here", Notes())

        assert (generator.image_shape, generator.num_ws) == ((3, 16, 16), 6)
        torch.testing.assert_close(generator.w_avg, root["latent_avg"].mean(dim=0))
        assert not encoders.recognises(encoder_file(psp))

    def test_what_is_left_out_is_told(self):
        """
        A training's leftovers, and a generator of another layout, are listed.
        """
        root = encoder_file(psp, {"synthesis.b4.const": (4, 4, 4)}, encoder_type="BackboneEncoder")
        root |= {"optimizer": {}, "discriminator_state_dict": {}}
        root["state_dict"]["latent_pool.weight"] = torch.zeros(1)

        encoder, notes = encoder_of(root)

        assert encoder.generator is None
        told = "; ".join(notes.ignored)
        for name in ("decoder: not", "latent_pool: neither", "optimizer", "discriminator_state"):
            assert name in told


class TestFamily:
    @pytest.mark.parametrize(
        "hint",
        [
            {"opts": {"progressive_steps": [0]}},
            {"opts": {"delta_norm": 2}},
            {"opts": {"stylegan_size": 16}},
            {"discriminator_state_dict": {}},
        ],
    )
    def test_hints_of_e4e_are_taken(self, hint):
        """
        Where the type is missing, what only e4e's trainings write decides, and is told.
        """
        encoder, notes = encoder_of({**encoder_file(psp), **hint})

        assert encoder.config.family is Family.E4E
        assert any(line.startswith("family: e4e") for line in notes.inferred)

    @pytest.mark.parametrize("options", [{}, {"encoder_type": "Another"}, {"encoder_type": [3]}])
    def test_otherwise_the_user_is_asked(self, options):
        """
        pSp's and e4e's tensors are the same: a file that does not say needs somebody who does.
        """
        root = encoder_file(psp, **options)

        with pytest.raises(CheckpointError, match=r"say family 'psp' or 'e4e'"):
            encoder_of(root)
        for family in Family:
            assert encoder_of(root, family=family)[0].config.family is family

    def test_a_single_code_needs_no_family(self):
        """
        With one code there is nothing to tell apart.
        """
        root = encoder_file(small_config(head=Head.W, num_codes=1, num_ws=6))

        encoder, _ = encoder_of(root)

        assert (encoder.config.family, encoder.num_ws) == (Family.PSP, 6)

    def test_another_word_is_refused(self, tmp_path):
        """
        A family that does not exist is a mistake of the caller.
        """
        with pytest.raises(ValueError, match="'pspp' is not a valid Family"):
            load_encoder(written(encoder_file(psp), tmp_path), family="pspp")


class TestMeanCode:
    @pytest.mark.parametrize("shape", [(8,), (1, 8), (6, 8), (9, 8)])
    def test_comes_in_several_shapes(self, shape):
        """
        One code for all layers, or one for each; more than there are layers are dropped.
        """
        root = encoder_file(psp, DECODER, encoder_type="BackboneEncoder")
        root["latent_avg"] = torch.randn(shape)

        encoder, notes = encoder_of(root)

        stored = root["latent_avg"].reshape(-1, 8)
        assert torch.equal(stored[:6].expand(6, 8), encoder.latent_avg)
        assert notes.estimated == []

    @pytest.mark.parametrize("shape", [(7,), (3, 8), (6, 7)])
    def test_another_shape_is_refused(self, shape):
        """
        A mean code that fits no layer is named with both shapes.
        """
        root = encoder_file(psp, encoder_type="BackboneEncoder", output_size=16)
        root["latent_avg"] = torch.zeros(shape)

        with pytest.raises(CheckpointError, match=r"latent_avg is .*expected \[6, 8\]"):
            encoder_of(root)

    def test_is_estimated_with_the_generator(self):
        """
        Where it is missing, the mean w of the generator in the file stands for it, and is told.
        """
        root = encoder_file(psp, DECODER, average=False, encoder_type="BackboneEncoder")

        encoder, notes = encoder_of(root)

        assert torch.equal(encoder.generator.w_avg.expand(6, 8), encoder.latent_avg)
        assert encoder.latent_avg.abs().max() > 0
        assert any("latent_avg: the mean w" in line for line in notes.estimated)

    def test_is_left_to_the_generator(self):
        """
        Where the file has neither a mean code nor a generator, the one that is encoded for gives
        it, and that is told.
        """
        root = encoder_file(psp, average=False, encoder_type="BackboneEncoder")

        encoder, notes = encoder_of(root)

        assert not encoder.config.own_mean
        assert notes.estimated == ["latent_avg: not in the file; the generator's mean w is used"]

    @pytest.mark.parametrize("channels, zero", [(3, True), (6, False)])
    def test_is_not_added_where_options_say_so(self, channels, zero):
        """
        pSp can be trained without it; ReStyle always starts from it.
        """
        config = small_config(in_channels=channels)
        options = {"encoder_type": "BackboneEncoder", "start_from_latent_avg": False}

        encoder, notes = encoder_of(encoder_file(config, **options))

        assert zero is not bool(encoder.latent_avg.any())
        assert zero is bool(notes.inferred)
        assert encoder.config.own_mean


class TestSizes:
    @pytest.mark.parametrize(
        "options, codes", [({"stylegan_size": 16}, 6), ({"output_size": 32}, 8), ({}, 8)]
    )
    def test_codes_follow_from_options(self, options, codes):
        """
        Without a generator the size in the options counts, then what the network puts out.
        """
        config = small_config(num_codes=8, num_ws=8)
        root = encoder_file(config, encoder_type="BackboneEncoder", **options)

        encoder, _ = encoder_of(root)

        assert encoder.num_ws == codes

    def test_a_single_code_of_an_unknown_generator_is_for_the_usual_one(self):
        """
        Old files do not say their generator's size: 18 codes, as for 1024 px, and it is told.
        """
        root = encoder_file(small_config(head=Head.W, num_codes=1), average=False)

        encoder, notes = encoder_of(root)

        assert encoder.num_ws == 18
        assert "generator: 1024 px, for the file does not say" in notes.inferred

    def test_cars_encoders_put_out_too_many_codes(self):
        """
        e4e's cars: a wide input, and more codes than the generator beside it has layers.
        """
        config = small_config(num_codes=8, num_ws=8, family=Family.E4E)
        options = {"encoder_type": "ProgressiveBackboneEncoder", "dataset_type": "cars_encode"}
        root = encoder_file(config, DECODER, **options)

        encoder, notes = encoder_of(root)

        assert (encoder.num_ws, encoder.config.num_codes) == (6, 8)
        assert encoder.config.input_size == (192, 256)
        assert torch.equal(root["latent_avg"][:6], encoder.latent_avg)
        assert any(line.startswith("input: 192 x 256") for line in notes.inferred)

    def test_tall_generators_have_tall_inputs(self):
        """
        Beside a generator of people, twice as high as wide, so is what the encoder looks at.
        """
        tall = rosinality_shapes(16, (6, 5, 4), w_dim=8, depth=2, columns=2)

        encoder, _ = encoder_of(encoder_file(psp, tall, encoder_type="BackboneEncoder"))

        assert encoder.generator.image_shape == (3, 16, 8)
        assert encoder.config.input_size == (256, 128)

    def test_the_caller_knows_better(self):
        """
        An input size that is given is taken.
        """
        root = encoder_file(psp, encoder_type="BackboneEncoder", dataset_type="cars_encode")

        assert encoder_of(root, input_size=(112, 112))[0].config.input_size == (112, 112)


def tensors(*names):
    return {name: torch.zeros(2, 2) for name in names}


REFUSED = {
    "an identity network": tensors("input_layer.0.weight", "body.0.x", "output_layer.3.weight"),
    "a MoCo network": {"state_dict": tensors("module.encoder_q.conv1.weight")},
    "an ImageNet classifier": tensors("conv1.weight", "layer1.0.conv1.weight", "fc.weight"),
    "a decoder but no encoder": {"state_dict": tensors("decoder.conv1.conv.weight")},
    "state of an optimiser": {"state": {}, "param_groups": []},
    "the state of an optimiser": {"optimizer": {}, "global_step": 3},
    "found keys .*latents": {"latents": torch.zeros(3)},
    "found list": [1, 2],
}


class TestRefusals:
    @pytest.mark.parametrize("words", REFUSED)
    def test_what_is_no_encoder_is_named(self, words, tmp_path):
        """
        Files that lie beside encoders are refused by what they are.
        """
        with pytest.raises(CheckpointError, match=words):
            load_encoder(written(REFUSED[words], tmp_path))

    def test_a_generator_is_named(self):
        """
        A generator, given as an encoder, is to be registered as one.
        """
        state = {k: torch.zeros(shape) for k, shape in DECODER.items()}

        with pytest.raises(CheckpointError, match="a generator, not an encoder; register it"):
            encoder_of({"g_ema": state})

    @pytest.mark.parametrize(
        "key, words",
        [
            ("body.23.res_layer.3.weight", "no tensor 'body.23.res_layer.3.weight'"),
            ("styles.2.linear.weight", r"missing head\.styles\.2\.linear\.weight \[8, 8\]"),
            ("body.3.shortcut_layer.0.weight", r"missing .*body\.3\.shortcut_layer\.0\.weight \["),
        ],
    )
    def test_a_missing_tensor_is_named(self, key, words):
        """
        Part of an encoder is no encoder; the first tensor that is not there is named.
        """
        root = encoder_file(psp, encoder_type="BackboneEncoder")
        del root["state_dict"][f"encoder.{key}"]

        with pytest.raises(CheckpointError, match=f"here: .*{words}"):
            encoder_of(root)

    @pytest.mark.parametrize("shape", [(), (0,), (0, 8), (8, 0), (3, 3, 3)])
    def test_impossible_shapes_are_refused(self, shape):
        """
        Shapes that no network has are a checkpoint error and nothing worse.
        """
        root = encoder_file(psp, encoder_type="BackboneEncoder")
        root["state_dict"]["encoder.styles.0.linear.weight"] = torch.zeros(shape)

        with pytest.raises(CheckpointError, match="here: "):
            encoder_of(root)

    def test_too_few_codes_for_the_generator_are_refused(self):
        """
        An encoder of four codes does not steer six layers.
        """
        root = encoder_file(small_config(num_codes=4, num_ws=4), DECODER, encoder_type="Backbone")

        with pytest.raises(CheckpointError, match="4 codes do not steer 6 layers"):
            encoder_of(root, family=Family.PSP)
