"""The project's own encoder file: one safetensors file, whatever the encoder came from.

Tensors are `Encoder.state_dict()` in float32 without the generator's and without BatchNorm's
counters. The metadata holds `schema_version`, `kind` = "stylegan2-encoder", `config` (JSON of
`EncoderConfig`) and any further strings the writer wants to keep. Equal encoders give equal bytes.
"""

from collections.abc import Mapping
from pathlib import Path

from models.checkpoints.tensor_files import Format, read_tensors, write_tensors
from models.encoders.config import EncoderConfig
from models.encoders.encoder import Encoder, build_encoder, own_tensors

FORMAT = Format("stylegan2-encoder", "1", EncoderConfig.from_json)


def save_encoder(
    encoder: Encoder,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = False,
) -> None:
    """Writes `encoder` to `path`, whole or not at all; its generator has a file of its own.

    Args:
        encoder: on any device.
        path: the file; replaced if it exists.
        metadata: more strings to keep, such as where the weights came from.
        half: in float16, for half the size; loading makes float32 of it again.

    Raises:
        ValueError: `metadata` uses a key this format reserves, or a weight is too large for
            float16.
    """
    header = FORMAT.header(encoder.config.to_json())
    write_tensors(path, own_tensors(encoder), header, metadata, half=half)


def load_neutral_encoder(path: str | Path) -> Encoder:
    """The encoder that `save_encoder` wrote, without a generator, on the CPU, in eval mode.

    Raises:
        CheckpointError: not such a file, a newer schema, or a tensor missing, unknown or of
            another shape; the message names it.
    """
    header, tensors = read_tensors(path)
    return build_encoder(FORMAT.config(header, path), tensors, source=str(path))
