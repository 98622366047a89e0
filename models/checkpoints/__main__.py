"""Checkpoint files without a service.

    python -m models.checkpoints inspect FILE
    python -m models.checkpoints convert FILE OUT.safetensors     (OUT.pt: rosinality's layout)
    python -m models.checkpoints sample FILE --seeds 0-15 --out sheet.png [--psi 0.7] [--class 3]

No byte of a file is ever executed. With --json stdout carries one JSON document and nothing else,
errors included: {"error": {"code": .., "message": ..}}.

It exits with 0 when all went well, 2 when the file or the command line cannot be used, 9 when
PyTorch is not installed.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.checkpoints.reports import lines_of
from models.errors import CheckpointError

if TYPE_CHECKING:
    from models.checkpoints.inspection import Opened

DONE, REFUSED, NO_TORCH = 0, 2, 9
MOST_SEEDS = 1024
_INSTALL = "PyTorch is not installed here, and reading weights needs it: install 'handsoff[worker]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the process's exit status."""
    given = _parser().parse_args(arguments)
    try:
        found = _COMMANDS[given.command](given)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        return _refuse(given, "torch_missing", _INSTALL, NO_TORCH)
    except (CheckpointError, ValueError, OSError) as error:
        return _refuse(given, "checkpoint_error", str(error), REFUSED)
    _say(given, found)
    return DONE


def _inspect(given: argparse.Namespace) -> dict[str, Any]:
    """What a file is."""
    return _opened(given).document()


def _convert(given: argparse.Namespace) -> dict[str, Any]:
    """The same network in our own layout, a generator in a .pt in rosinality's."""
    from models.checkpoints.export_rosinality import write_rosinality
    from models.checkpoints.inspection import OpenedGenerator
    from models.checkpoints.neutral import save_generator
    from models.encoders.neutral import save_encoder

    opened = _opened(given)
    if isinstance(opened, OpenedGenerator):
        save = write_rosinality if given.out.suffix == ".pt" else save_generator
        save(opened.generator, given.out)
    else:
        save_encoder(opened.encoder, given.out)
        if opened.encoder.generator is not None:
            opened.findings.notes.ignored.append("generator: convert the file as a generator too")
    return {"path": str(given.out), "bytes": given.out.stat().st_size, **opened.document()}


def _sample(given: argparse.Namespace) -> dict[str, Any]:
    """A picture of what a generator draws."""
    from models.checkpoints.inspection import open_generator
    from models.checkpoints.samples import sample_sheet
    from models.data.images import encode_png

    generator = open_generator(given.file).generator
    sheet = sample_sheet(generator, given.seeds, given.psi, given.label)
    given.out.write_bytes(encode_png(sheet))
    return {"path": str(given.out), "seeds": given.seeds, "psi": given.psi}


_COMMANDS = {"inspect": _inspect, "convert": _convert, "sample": _sample}


def _opened(given: argparse.Namespace) -> "Opened":
    """The network that was asked for; torch loads here, and may not be there."""
    from models.checkpoints import inspection
    from models.encoders.config import Family

    family = Family(given.family) if given.family else None
    if given.what == "generator":
        return inspection.open_generator(given.file)
    if given.what == "encoder":
        return inspection.open_encoder(given.file, family)
    return inspection.open_any(given.file, family)


def _say(given: argparse.Namespace, document: Mapping[str, Any]) -> None:
    if given.json:
        sys.stdout.write(json.dumps(document) + "\n")
        return
    lines = list(lines_of(document))
    width = max(len(name) for name, _ in lines)
    sys.stdout.writelines(f"{name:{width}}  {text}\n" for name, text in lines)


def _refuse(given: argparse.Namespace, code: str, message: str, status: int) -> int:
    if given.json:
        sys.stdout.write(json.dumps({"error": {"code": code, "message": message}}) + "\n")
    else:
        sys.stderr.write(f"error: {message}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.checkpoints", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in _COMMANDS.items():
        sub = commands.add_parser(name, help=command.__doc__)
        sub.add_argument("file", type=Path, help="a checkpoint of any family")
        sub.add_argument("--json", action="store_true", help="one JSON document on stdout")
        if name == "convert":
            sub.add_argument("out", type=Path, help="the file to write: .safetensors or .pt")
        if name == "sample":
            _add_options_of_samples(sub)
        else:
            sub.add_argument("--as", dest="what", choices=("generator", "encoder"))
            sub.add_argument("--family", choices=("psp", "e4e"), help="of an encoder's codes")
    return parser


def _add_options_of_samples(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=seeds_of, default=list(range(16)), help="e.g. 0-15 or 3,7")
    parser.add_argument("--out", type=Path, default=Path("sheet.png"), help="the PNG to write")
    parser.add_argument("--psi", type=float, default=1.0, help="truncation; 1 is none")
    parser.add_argument("--class", dest="label", type=int, help="of a conditional generator")


def seeds_of(text: str) -> list[int]:
    """Seeds as people write them: `0-15`, `3,7,9`, or both.

    Raises:
        argparse.ArgumentTypeError: no such list, or a very long one.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:-(\d{1,10}))?\s*", part)
        if not match:
            raise argparse.ArgumentTypeError(f"{part!r} is neither a seed nor a range like 0-15")
        first, last = int(match[1]), int(match[2] or match[1])
        if last >= 2**32 or not 0 <= last - first < MOST_SEEDS - len(seeds):
            raise argparse.ArgumentTypeError(
                f"seeds are 0 to {2**32 - 1}, rising, at most {MOST_SEEDS} of them; got {text!r}"
            )
        seeds += range(first, last + 1)
    return seeds


if __name__ == "__main__":
    sys.exit(main())
