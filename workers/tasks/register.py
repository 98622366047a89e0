"""Makes a generator ready: reads a checkpoint of any known family, keeps it in our own layout."""

from models.checkpoints.inspection import OpenedGenerator, open_generator
from models.checkpoints.neutral import save_generator
from models.data.pictures import contact_sheet
from models.drawing import batch_size
from models.latents import mapped
from models.pixels import as_pixels
from models.seeding import philox
from models.stylegan2.networks import Generator
from workers import keys
from workers.errors import TaskFailed
from workers.params import RegisterParams
from workers.tasks import sources
from workers.tasks.context import TaskContext
from workers.tasks.outputs import in_portions, publish, publish_picture

PREVIEWED, COLUMNS, TILE = 64, 8, 128


def run(context: TaskContext) -> None:
    """Write the generator, its preview and its card.

    Raises:
        CheckpointError: the file is no StyleGAN2 generator that can be read.
        TaskFailed: `upload_missing`, `source_…`, or `unsupported_generator` if its images are
            not RGB.
    """
    final = keys.FINAL["generators"]
    if context.store.size(context.key(final)) is not None:
        return
    opened = _opened(context)
    path = context.scratch / "generator.safetensors"
    save_generator(opened.generator, path)
    card = {
        **opened.document(),
        "name": context.resource.name,
        "licence": context.resource.licence,
        "sha256": publish(context, path, path.name)["sha256"],
        "preview": _write_preview(context, opened.generator.to(context.runtime.device)),
    }
    context.put_json(final, card)


def _opened(context: TaskContext) -> OpenedGenerator:
    """What the checkpoint holds, read once."""
    source = sources.given(context, context.params(RegisterParams))
    context.report("reading", 0, 1, "checkpoints")
    opened = open_generator(source)
    source.unlink()  # Large, and not needed again.
    if (found := opened.generator.image_shape[0]) != 3:
        problem = f"images of this generator have {found} channels; RGB is needed"
        raise TaskFailed("unsupported_generator", problem)
    return opened


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
