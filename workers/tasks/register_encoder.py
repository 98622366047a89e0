"""Makes an encoder ready: reads a pSp, e4e or ReStyle checkpoint, keeps it in our own layout.

The generator inside such a file is not kept here; it is registered as a generator of its own.
"""

from models.checkpoints.inspection import open_encoder
from models.encoders.config import Family
from models.encoders.neutral import save_encoder
from workers import keys
from workers.params import RegisterEncoderParams
from workers.tasks import sources
from workers.tasks.context import TaskContext
from workers.tasks.outputs import publish


def run(context: TaskContext) -> None:
    """Write the encoder and its card.

    Raises:
        CheckpointError: the file is no encoder that can be read.
        TaskFailed: `upload_missing` or `source_…`.
    """
    final = keys.FINAL["encoders"]
    if context.store.size(context.key(final)) is not None:
        return
    params = context.params(RegisterEncoderParams)
    source = sources.given(context, params)
    context.report("reading", 0, 1, "checkpoints")
    opened = open_encoder(source, Family(params.family) if params.family else None)
    source.unlink()  # Large, and not needed again.
    path = context.scratch / "encoder.safetensors"
    save_encoder(opened.encoder, path)
    card = {
        **opened.document(),
        "name": context.resource.name,
        "licence": context.resource.licence,
        "sha256": publish(context, path, path.name)["sha256"],
        "generator_id": context.resource.parents.get("generator"),
    }
    context.put_json(final, card)
