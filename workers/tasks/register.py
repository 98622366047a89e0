"""Makes a generator ready: reads a checkpoint of any known family, keeps it in our own layout."""

from pathlib import Path
from typing import Any

from models.checkpoints import load_generator
from models.checkpoints.containers import read_contents
from models.checkpoints.families import family_of
from models.checkpoints.neutral import save_generator
from models.checkpoints.sniff import FileKind, sniff
from models.data.pictures import contact_sheet
from models.generation import as_pixels, batch_size
from models.latents import mapped
from models.seeding import philox
from models.stylegan2.networks import Generator
from workers import keys
from workers.errors import ObjectNotFound, TaskFailed
from workers.params import RegisterParams
from workers.tasks.context import TaskContext
from workers.tasks.outputs import in_portions, publish, publish_picture

PREVIEWED, COLUMNS, TILE = 64, 8, 128
_CONDITIONAL = "conditional: each sample draws one of its classes, all equally likely"


def run(context: TaskContext) -> None:
    """Write the generator, its preview and its card.

    Raises:
        CheckpointError: the upload is no StyleGAN2 generator that can be read.
        TaskFailed: `upload_missing`, or `unsupported_generator` if its images are not RGB.
    """
    final = keys.FINAL["generators"]
    if context.store.size(context.key(final)) is not None:
        return
    source = _uploaded(context)
    context.report("reading", 0, 1, "checkpoints")
    generator = load_generator(source)
    if generator.image_shape[0] != 3:
        found = f"images of this generator have {generator.image_shape[0]} channels; RGB is needed"
        raise TaskFailed("unsupported_generator", found)
    path = context.scratch / "generator.safetensors"
    save_generator(generator, path)
    sha256 = publish(context, path, "generator.safetensors")["sha256"]
    preview = _write_preview(context, generator.to(context.runtime.device))
    card = _card(context, generator, _family(source))
    context.put_json(final, {**card, "sha256": sha256, "preview": preview})


def _uploaded(context: TaskContext) -> Path:
    """The uploaded file."""
    upload_id = context.params(RegisterParams).upload_id
    path = context.scratch / "checkpoint"
    try:
        context.store.get_file(context.parent_key("uploads", upload_id, "content"), path)
    except ObjectNotFound as error:
        problem = f"upload {upload_id} holds no bytes; PUT the checkpoint, then register it"
        raise TaskFailed("upload_missing", problem) from error
    return path


def _family(source: Path) -> str:
    """Who wrote the checkpoint."""
    if sniff(source) is FileKind.SAFETENSORS:
        return "handsoff"
    return family_of(read_contents(source), source).name


def _write_preview(context: TaskContext, generator: Generator) -> str:
    """Some samples side by side."""
    size = generator.image_shape[1:]
    streams = [philox("preview", index) for index in range(PREVIEWED)]
    pictures = []
    for some in in_portions(streams, batch_size(context.runtime.device, size)):
        pictures += list(as_pixels(generator.synthesize(mapped(generator, some)), size))
        context.report("drawing", len(pictures), PREVIEWED, "images")
    sheet = contact_sheet(list(in_portions(pictures, COLUMNS)), tile=TILE)
    return publish_picture(context, sheet, "preview.png")


def _card(context: TaskContext, generator: Generator, family: str) -> dict[str, Any]:
    """What the generator is."""
    return {
        "schema_version": 1,
        "family": family,
        "name": context.resource.name,
        "licence": context.resource.licence,
        "image_shape": list(generator.image_shape),
        "z_dim": generator.z_dim,
        "w_dim": generator.w_dim,
        "num_ws": generator.num_ws,
        "label_dim": generator.label_dim,
        "parameters": sum(p.numel() for p in generator.parameters()),
        "notes": [_CONDITIONAL] if generator.label_dim else [],
    }
