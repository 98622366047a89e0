"""What a checkpoint is: its network, and a document for people that says all that was found out.

Each function reads the file once. The documents are what `python -m models.checkpoints inspect`
prints and what cards are made of. Knows no store and no command line.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.checkpoints import encoders
from models.checkpoints.containers import Contents, read_contents
from models.checkpoints.families import family_of
from models.checkpoints.neutral import load_neutral
from models.checkpoints.notes import Notes
from models.checkpoints.sniff import FileKind, sniff
from models.checkpoints.tensor_files import read_metadata
from models.encoders.config import Family as EncoderFamily
from models.encoders.encoder import Encoder
from models.encoders.neutral import FORMAT as ENCODER_FORMAT
from models.encoders.neutral import load_neutral_encoder
from models.stylegan2.networks import Generator

OWN_FAMILY = "handsoff"


@dataclass(frozen=True)
class Findings:
    """What was found out about a file beside its network.

    Attributes:
        family: who writes such files.
        notes: what was inferred, estimated and left out.
        inert: names in the file that were neither imported nor run.
        original: container format, bytes and sha256 of the file.
    """

    family: str
    original: Mapping[str, Any]
    notes: Notes = field(default_factory=Notes)
    inert: tuple[str, ...] = ()

    def around(self, what: str, network: Mapping[str, Any]) -> dict[str, Any]:
        """The document of a file that holds a `what`, of which `network` is known."""
        return {
            "schema_version": 1,
            "what": what,
            "family": self.family,
            "original": dict(self.original),
            **network,
            "notes": asdict(self.notes),
            "inert": list(self.inert),
        }


@dataclass(frozen=True)
class OpenedGenerator:
    """A generator, on the CPU and in eval mode, and what was found out about its file."""

    generator: Generator
    findings: Findings

    def document(self) -> dict[str, Any]:
        """All that is known, as JSON; `half_from` is in rows, `fir` are taps of any scale."""
        config = self.generator.config
        rows = [str(height) for height, _ in config.resolutions]
        network = {
            "image_shape": list(config.image_shape),
            "channels": dict(zip(rows, config.channels, strict=True)),
            "z_dim": config.z_dim,
            "w_dim": config.w_dim,
            "num_ws": config.num_ws,
            "mapping_widths": list(config.mapping_widths),
            "mapping_lr_multiplier": config.mapping_lr_multiplier,
            "label_dim": config.label_dim,
            "label_embed_dim": config.label_embed_dim,
            "conv_clamp": config.conv_clamp,
            "architecture": str(config.architecture),
            "fir": list(config.fir),
            "half_from": config.half_from,
            "use_noise": config.use_noise,
            "parameters": sum(p.numel() for p in self.generator.parameters()),
        }
        return self.findings.around("generator", network)


@dataclass(frozen=True)
class OpenedEncoder:
    """An encoder, on the CPU and in eval mode, and what was found out about its file."""

    encoder: Encoder
    findings: Findings

    def document(self) -> dict[str, Any]:
        """All that is known, as JSON; `generator` is the one inside, null where there is none."""
        encoder, config = self.encoder, self.encoder.config
        own = encoder.generator
        inside = sum(p.numel() for p in own.parameters()) if own else 0
        network = {
            "kind": f"restyle-{config.family}" if config.restyle else str(config.family),
            "backbone": str(config.backbone),
            "head": str(config.head),
            "num_codes": config.num_codes,
            "num_ws": config.num_ws,
            "w_dim": config.w_dim,
            "input_shape": [config.in_channels, *config.input_size],
            "iterations": config.iterations,
            "own_mean": config.own_mean,
            "parameters": sum(p.numel() for p in encoder.parameters()) - inside,
            "generator": {"image_shape": list(own.image_shape), "num_ws": own.num_ws}
            if own
            else None,
        }
        return self.findings.around("encoder", network)


Opened = OpenedGenerator | OpenedEncoder


def open_generator(path: Path) -> OpenedGenerator:
    """The generator in a file of any family; of an encoder's file, the one inside it.

    Raises:
        CheckpointError: there is none that can be read; the message says what there is.
    """
    kind = sniff(path)
    if kind is FileKind.SAFETENSORS:
        return OpenedGenerator(load_neutral(path), _findings(path, kind, OWN_FAMILY))
    return _generator_of(read_contents(path), path, kind)


def open_encoder(path: Path, family: EncoderFamily | None = None) -> OpenedEncoder:
    """The encoder in a pSp, e4e or ReStyle file, or in our own.

    Args:
        path: the file.
        family: how its codes are meant, where the file does not say.

    Raises:
        CheckpointError: there is none that can be read, or `family` is needed.
    """
    kind = sniff(path)
    if kind is FileKind.SAFETENSORS:
        return OpenedEncoder(load_neutral_encoder(path), _findings(path, kind, OWN_FAMILY))
    return _encoder_of(read_contents(path), path, kind, family)


def open_any(path: Path, family: EncoderFamily | None = None) -> Opened:
    """Whichever of the two a file holds; the encoder, if it holds both.

    Raises:
        CheckpointError: neither; or it cannot be read as it is.
    """
    kind = sniff(path)
    if kind is FileKind.SAFETENSORS:
        is_encoder = read_metadata(path).get("kind") == ENCODER_FORMAT.kind
        return open_encoder(path) if is_encoder else open_generator(path)
    contents = read_contents(path)
    if encoders.holds_encoder(contents.root):
        return _encoder_of(contents, path, kind, family)
    return _generator_of(contents, path, kind)


def _generator_of(contents: Contents, path: Path, kind: FileKind) -> OpenedGenerator:
    family, notes = family_of(contents, path), Notes()
    generator = family.build(contents.root, str(path), notes)
    if encoders.holds_encoder(contents.root):
        notes.ignored.append("encoder: register the file as an encoder to have it too")
    return OpenedGenerator(generator, _findings(path, kind, family.name, notes, contents))


def _encoder_of(
    contents: Contents, path: Path, kind: FileKind, family: EncoderFamily | None
) -> OpenedEncoder:
    notes = Notes()
    encoder = encoders.build_from(contents.root, str(path), notes, family)
    return OpenedEncoder(encoder, _findings(path, kind, encoder.config.family, notes, contents))


def _findings(
    path: Path,
    kind: FileKind,
    family: str,
    notes: Notes | None = None,
    contents: Contents | None = None,
) -> Findings:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    original = {"container": str(kind), "bytes": path.stat().st_size, "sha256": sha256}
    inert = tuple(sorted(contents.inert)) if contents else ()
    return Findings(str(family), original, notes or Notes(), inert)
