"""Encoders as pSp, e4e, ReStyle-pSp and ReStyle-e4e write them.

One dictionary: `state_dict` with the encoder under `encoder.` and a whole rosinality generator
under `decoder.`, the options of the training as `opts`, the mean code as `latent_avg`. Widths,
backbone and head follow from shapes. pSp and e4e have the same tensors and mean them differently:
the options tell, or the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints import rosinality
from models.checkpoints.containers import read_contents
from models.checkpoints.encoder_refusals import what_it_is
from models.checkpoints.notes import Notes
from models.checkpoints.sniff import FileKind, sniff
from models.checkpoints.state_dicts import note_ignored, tensors_of, under
from models.encoders.backbones import last_blocks
from models.encoders.config import Backbone, EncoderConfig, Family, Head
from models.encoders.encoder import Encoder, build_encoder
from models.encoders.neutral import load_neutral_encoder
from models.errors import CheckpointError
from models.stylegan2.networks import Generator

ENCODER, DECODER = "encoder.", "decoder."

FAMILY_OF_TYPE: Mapping[str, Family] = {
    "GradualStyleEncoder": Family.PSP,
    "ResNetGradualStyleEncoder": Family.PSP,
    "BackboneEncoder": Family.PSP,
    "ResNetBackboneEncoder": Family.PSP,
    "BackboneEncoderUsingLastLayerIntoW": Family.PSP,
    "BackboneEncoderUsingLastLayerIntoWPlus": Family.PSP,
    "SingleStyleCodeEncoder": Family.E4E,
    "Encoder4Editing": Family.E4E,
    "ProgressiveBackboneEncoder": Family.E4E,
    "ResNetProgressiveBackboneEncoder": Family.E4E,
}
"""`opts["encoder_type"]` of all four repositories."""

E4E_OPTIONS = ("stylegan_size", "progressive_", "delta_norm")
"""Beginnings of options that only e4e's trainings have."""

BACKBONE_KEYS = ("input_layer", "body", "conv1", "bn1", "relu")
SQUARE_INPUT, CARS_INPUT = (256, 256), (192, 256)
USUAL_SIZE = 1024
"""Of the generator, where a file does not say: it was not an option at first."""


def read_encoder(
    path: Path,
    notes: Notes,
    family: Family | None = None,
    input_size: tuple[int, int] | None = None,
) -> Encoder:
    """The encoder in `path`, on the CPU, with the generator of the same file.

    Args:
        path: any file of the four, or our own.
        notes: receives what was inferred, estimated and ignored.
        family: how the codes are meant; read from the file where None.
        input_size: (H, W) of what it looks at; read from the file, or 256 x 256, where None.

    Raises:
        CheckpointError: no encoder, or one that does not say its family; the message says what
            can be done.
    """
    if sniff(path) is FileKind.SAFETENSORS:
        return load_neutral_encoder(path)
    return build_from(read_contents(path).root, str(path), notes, family, input_size)


def holds_encoder(root: Any) -> bool:
    """Whether these objects carry an encoder's tensors, whatever else and however damaged."""
    return bool(under(_state(root), ENCODER))


def recognises(root: Any) -> bool:
    """Whether these objects carry a generator beside an encoder."""
    decoder = under(_state(root), DECODER)
    return bool(decoder) and rosinality.recognises({"g_ema": decoder})


def build(root: Any, source: str, notes: Notes) -> Generator:
    """The generator beside the encoder; arguments as in every family of generators."""
    average = _stored_average(root)
    beside = {} if average is None else {"latent_avg": average.mean(dim=0)}
    decoder = under(_state(root), DECODER)
    return rosinality.build({"g_ema": decoder, **beside}, source, notes)


def build_from(
    root: Any,
    source: str,
    notes: Notes,
    family: Family | None = None,
    input_size: tuple[int, int] | None = None,
) -> Encoder:
    """The encoder of a file's objects; see `read_encoder`."""
    file = _File.of(root, source, notes)
    try:
        config = _config(file, family, input_size)
        average = _average(file, config)
    except KeyError as error:
        raise CheckpointError(f"{source}: no tensor {error}: not a whole encoder") from error
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f"{source}: shapes are not an encoder's: {error}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error
    _note_rest(file)
    tensors = {_our_key(key): tensor for key, tensor in file.tensors.items()}
    if average is None:
        config = replace(config, own_mean=False)
        average = torch.zeros(config.num_ws, config.w_dim)
    return build_encoder(config, {**tensors, "latent_avg": average}, source, file.generator)


@dataclass(frozen=True)
class _File:
    """What was read, sorted.

    Attributes:
        root: everything.
        tensors: the encoder's, in their names.
        options: of the training; empty where there are none.
        generator: the decoder.
        notes: receives what is found out.
    """

    root: Mapping[Any, Any]
    tensors: Mapping[str, Tensor]
    options: Mapping[Any, Any]
    generator: Generator | None
    notes: Notes

    @classmethod
    def of(cls, root: Any, source: str, notes: Notes) -> "_File":
        """The parts of `root`; a `CheckpointError` that says what it is if there is no encoder."""
        tensors = under(_state(root), ENCODER)
        if not tensors:
            raise CheckpointError(f"{source}: {what_it_is(root)}")
        options = root.get("opts")
        generator = build(root, source, notes) if recognises(root) else None
        return cls(root, tensors, options if isinstance(options, dict) else {}, generator, notes)


def _state(root: Any) -> dict[str, Tensor]:
    """The tensors with `encoder.` and `decoder.` before their names; a bare encoder gets it."""
    if not isinstance(root, dict):
        return {}
    for candidate in (root.get("state_dict"), root):
        tensors = tensors_of(candidate)
        if under(tensors, ENCODER) or under(tensors, DECODER):
            return tensors
        if _is_bare(tensors):
            return {f"{ENCODER}{key}": tensor for key, tensor in tensors.items()}
    return {}


def _is_bare(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are an encoder's tensors without a prefix: a body and a head of ours."""
    return "body.0.bn1.weight" in tensors or (
        "input_layer.0.weight" in tensors and any(map(_is_of_head, tensors))
    )


def _is_of_head(key: str) -> bool:
    return key.startswith(("styles.", "linear."))


def _our_key(key: str) -> str:
    """Their key -> ours: they keep backbone and head in one network."""
    part = "backbone" if key.split(".")[0] in BACKBONE_KEYS else "head"
    return f"{part}.{key}"


def _config(
    file: _File, family: Family | None, input_size: tuple[int, int] | None
) -> EncoderConfig:
    """The description: widths from shapes, the rest from the caller, options, the generator."""
    tensors = file.tensors
    ir = "input_layer.0.weight" in tensors
    backbone = Backbone.IR_SE50 if ir else Backbone.RESNET34
    widest = "res_layer.3.weight" if ir else "conv2.weight"
    ends = [tensors[f"body.{block}.{widest}"] for block in last_blocks(backbone)]
    one, two, three, four = (weight.shape[0] for weight in ends)
    head = _head(tensors)
    num_codes, w_dim = _codes(tensors, head)
    return EncoderConfig(
        backbone=backbone,
        head=head,
        family=family or _family(file, head),
        in_channels=tensors["input_layer.0.weight" if ir else "conv1.weight"].shape[1],
        num_codes=num_codes,
        num_ws=file.generator.num_ws if file.generator else _num_ws(file, num_codes),
        input_size=input_size or _input_size(file),
        channels=(one, two, three, four),
        w_dim=w_dim,
    )


def _head(tensors: Mapping[str, Tensor]) -> Head:
    if "latlayer1.weight" in tensors:
        return Head.FPN
    if _styles(tensors):
        return Head.LAST_MAP
    return Head.W_PLUS if "output_layer_2.3.weight" in tensors else Head.W


def _pooled(head: Head) -> bool:
    """Whether all codes come out of one linear layer."""
    return head in (Head.W, Head.W_PLUS)


def _codes(tensors: Mapping[str, Tensor], head: Head) -> tuple[int, int]:
    """How many codes come out, and how wide they are."""
    rows, columns = tensors["linear.weight" if _pooled(head) else "styles.0.linear.weight"].shape
    if head is Head.W:
        return 1, rows
    return (rows // columns if head is Head.W_PLUS else _styles(tensors)), columns


def _styles(tensors: Mapping[str, Tensor]) -> int:
    """How many map-to-style blocks there are."""
    return len({key.split(".")[1] for key in tensors if key.startswith("styles.")})


def _family(file: _File, head: Head) -> Family:
    """By the encoder's type; else by what only e4e's files have."""
    written = file.options.get("encoder_type")
    if isinstance(written, str) and written in FAMILY_OF_TYPE:
        return FAMILY_OF_TYPE[written]
    if _pooled(head):
        return Family.PSP  # there the two are the same
    hints = [str(key) for key in file.options if str(key).startswith(E4E_OPTIONS)]
    hints += [str(key) for key in file.root if str(key).startswith("discriminator_")]
    if hints:
        file.notes.inferred.append(f"family: e4e, for the file has {hints[0]}")
        return Family.E4E
    raise CheckpointError(
        f"its options do not say whether its codes are pSp's or e4e's (encoder_type: {written!r}), "
        "and the tensors are the same: say family 'psp' or 'e4e'"
    )


def _num_ws(file: _File, num_codes: int) -> int:
    """Codes of the generator, where the file does not carry it."""
    size = file.options.get("stylegan_size", file.options.get("output_size"))
    if isinstance(size, int) and size >= 4 and size & (size - 1) == 0:
        return _num_ws_of(size)
    stored = _stored_average(file.root)
    rows = 1 if stored is None else len(stored)
    if max(rows, num_codes) > 1:
        return min(n for n in (rows, num_codes) if n > 1)
    file.notes.inferred.append(f"generator: {USUAL_SIZE} px, for the file does not say")
    return _num_ws_of(USUAL_SIZE)


def _num_ws_of(size: int) -> int:
    """Codes of a generator of `size` rows: 2 log2(size) - 2."""
    return 2 * size.bit_length() - 4


def _input_size(file: _File) -> tuple[int, int]:
    """What the encoder looks at: by what it was trained on, or by the generator's shape."""
    if "cars" in str(file.options.get("dataset_type", "")):
        file.notes.inferred.append("input: 192 x 256, for it was trained on cars")
        return CARS_INPUT
    _, height, width = file.generator.image_shape if file.generator else (3, *SQUARE_INPUT)
    if height <= width:
        return SQUARE_INPUT
    columns = SQUARE_INPUT[1] * width // height
    file.notes.inferred.append(f"input: 256 x {columns}, shaped as its generator's images")
    return (SQUARE_INPUT[0], columns)


def _stored_average(root: Any) -> Tensor | None:
    """`latent_avg` float32 [1 or n, w_dim], where the file has one."""
    average = root.get("latent_avg")
    if not isinstance(average, Tensor) or average.ndim not in (1, 2) or not average.numel():
        return None
    return average.float().reshape(-1, average.shape[-1])


def _average(file: _File, config: EncoderConfig) -> Tensor | None:
    """What is added to the codes, float32 [num_ws, w_dim]; None where only a generator can tell."""
    shape = (config.num_ws, config.w_dim)
    notes = file.notes
    if not config.restyle and file.options.get("start_from_latent_avg") is False:
        notes.inferred.append("latent_avg: zeros, for its options say that codes are not offsets")
        return torch.zeros(shape)
    stored = _stored_average(file.root)
    if stored is not None:
        if stored.shape[1] != config.w_dim or 1 < len(stored) < config.num_ws:
            raise CheckpointError(f"latent_avg is {list(stored.shape)}, expected {list(shape)}")
        return stored[: config.num_ws].expand(shape).contiguous()
    if file.generator is not None:
        notes.estimated.append("latent_avg: the mean w of the generator in the file")
        return file.generator.w_avg.expand(shape).contiguous()
    notes.estimated.append("latent_avg: not in the file; the generator's mean w is used")
    return None


def _note_rest(file: _File) -> None:
    """Tells what of the file was left out."""
    state = _state(file.root)
    if file.generator is None and under(state, DECODER):
        file.notes.ignored.append("decoder: not a StyleGAN2 generator in rosinality's layout")
    others = {key.split(".")[0] for key in state if not key.startswith((ENCODER, DECODER))}
    file.notes.ignored += [f"{name}: neither encoder nor decoder" for name in sorted(others)]
    if "state_dict" in file.root:
        note_ignored(file.root, ("state_dict", "opts", "latent_avg"), file.notes)
