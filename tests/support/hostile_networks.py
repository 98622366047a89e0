"""Files that are networks and latents in every way, but for being huge once they are made."""

import io
import json
import pickle

import numpy as np
import torch
from safetensors.torch import save
from support.encoders import encoder_file, small_config, small_encoder
from support.generator_files import (
    genforce_state,
    mmgeneration_state,
    random_generator,
    rosinality_state,
    tensorflow_network,
)
from support.hostile import Case, bad, swollen
from support.nvidia_files import dumped, generator_object
from support.nvidia_networks import Variant, tensors_of
from torch import Tensor

from models.encoders.encoder import own_tensors
from models.stylegan2.networks import Generator

WIDTH, DEPTH = 1024, 60
REPEATED = "its tensors repeat .* until they are"


def repeating() -> list[Case]:
    """A few megabytes under so many names that the network would have hundreds."""
    wide = random_generator(z_dim=WIDTH, w_dim=WIDTH, mapping_widths=(WIDTH,))
    rosinality = rosinality_state(wide)
    decoder = {f"decoder.{key}": t for key, t in _deep(rosinality, "style.{}", 1).items()}
    nvidia = tensors_of(Variant(z=WIDTH, w=WIDTH, widths=(WIDTH,)))
    return [
        swollen(
            "layers", "has one layer 60 times", _saved(_deep(rosinality, "style.{}", 1)), REPEATED
        ),
        swollen(
            "layers-mmgeneration",
            "has it as mmgeneration would",
            _saved(_deep(mmgeneration_state(wide), "generator_ema.style_mapping.{}.linear", 1)),
            REPEATED,
        ),
        swollen(
            "layers-genforce",
            "has it as genforce would",
            _saved(_deep(genforce_state(wide), "mapping.dense{}")),
            REPEATED,
        ),
        swollen("layers-nvidia", "has it as NVIDIA would", _snapshot(nvidia), REPEATED),
        swollen(
            "layers-state",
            "has it as a state dictionary of theirs",
            _saved(_deep(nvidia, "mapping.fc{}")),
            REPEATED,
        ),
        swollen("layers-decoder", "has it beside an encoder", _saved(decoder), REPEATED),
        swollen(
            "layers-tensorflow",
            "has it as TensorFlow would",
            _tensorflow(wide),
            REPEATED,
            "dnnlib.tflib.network.Network",
        ),
        swollen("codes", "has one head for each of 18 codes", _saved(_encoder()), REPEATED),
        bad("shifted", "has 60 layers in one, shifted", _saved(_shifted()), "repeat the same"),
        swollen("bytes", "has weights of one byte", _saved(_of_bytes()), r"of torch\.int8"),
        swollen(
            "latents",
            "has one latent for 3,000 images",
            _images(),
            REPEATED,
        ),
        swollen("index", "has one z for 100,000 images", _index(), REPEATED),
    ]


def describing() -> list[Case]:
    """Our own files, whose description asks for more than there is."""
    encoder, generator = small_encoder(), random_generator()
    tensors = own_tensors(encoder)
    config = json.loads(encoder.config.to_json())
    layers = json.loads(generator.config.to_json()) | {"mapping_widths": [6] * 500_000}
    codes = config | {"num_codes": 10**9, "num_ws": 10**9}
    wide, broken = config | {"w_dim": 2**40}, config | {"w_dim": 8.5}
    eighth = {key: tensor.to(torch.float8_e5m2) for key, tensor in tensors.items()}
    of_generator = "stylegan2-generator"
    return [
        bad("own-deep", "nests its description", _own({}, "[" * 100_000, of_generator), "too deep"),
        bad(
            "own-layers",
            "describes a long mapping",
            _own({}, json.dumps(layers), of_generator),
            "at most 64 layers, not 500000",
        ),
        bad("own-codes", "describes 10**9 codes", _own(tensors, json.dumps(codes)), "at most 32"),
        bad(
            "own-wide",
            "describes codes of 4 TB",
            _own(tensors, json.dumps(wide)),
            r"latent_avg is \[6, 8\], expected \[6, 1099511627776\]",
        ),
        bad("own-broken", "has half a number", _own(tensors, json.dumps(broken)), "w_dim 8.5"),
        bad(
            "own-eighth",
            "has floats of one byte",
            _own(eighth, json.dumps(config)),
            "of torch.float8_e5m2",
        ),
    ]


def _deep(state: dict[str, Tensor], layer: str, first: int = 0) -> dict[str, Tensor]:
    """The same with its only layer of the mapping, whose keys begin so, 60 times."""
    begins = layer.format(first)
    only = {key.removeprefix(begins): t for key, t in state.items() if key.startswith(begins)}
    numbers = range(first, first + DEPTH)
    return state | {layer.format(i) + key: t for i in numbers for key, t in only.items()}


def _saved(root: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(root, buffer)
    return buffer.getvalue()


def _snapshot(tensors: dict[str, Tensor]) -> bytes:
    """NVIDIA's pickle, the layers of the mapping one object."""
    generator = generator_object(tensors)
    layers = generator.state["_modules"]["mapping"].state["_modules"]
    for number in range(1, DEPTH):
        layers[f"fc{number}"] = layers["fc0"]
    return dumped({"G_ema": generator})


def _tensorflow(generator: Generator) -> bytes:
    root = tensorflow_network(generator)
    variables = root.state["components"]["mapping"].state["variables"]
    only = dict(variables)["Dense0/weight"]
    variables += [(f"Dense{number}/weight", only) for number in range(1, DEPTH)]
    return dumped(root)


def _encoder() -> dict[str, object]:
    """An encoder whose map-to-style blocks are one: 230 MB out of 4."""
    config = small_config(w_dim=256, num_codes=2, num_ws=2)
    root = encoder_file(config, average=False, encoder_type="BackboneEncoder")
    state = {key: t for key, t in root["state_dict"].items() if "styles.1" not in key}
    for key in [key for key in state if "styles.0" in key]:
        if key.endswith(("convs.4.weight", "convs.6.weight")):
            state[key] = state["encoder.styles.0.convs.2.weight"]
        for code in range(1, 32):
            state[key.replace("styles.0", f"styles.{code}")] = state[key]
    return {**root, "state_dict": state}


def _shifted() -> dict[str, Tensor]:
    """60 layers in little more memory than one takes."""
    state = rosinality_state(random_generator())
    numbers = torch.zeros(WIDTH**2 + DEPTH)
    layers = {f"style.{i}.weight": numbers[i : i + WIDTH**2].view(WIDTH, -1) for i in range(DEPTH)}
    return state | layers


def _of_bytes() -> dict[str, Tensor]:
    state = rosinality_state(random_generator())
    return {k: t if k.endswith("kernel") else t.to(torch.int8) for k, t in state.items()}


def _images() -> bytes:
    """3,000 images that all have one latent."""
    names = map(str, range(3000))
    return pickle.dumps(dict.fromkeys(names, np.ones((18, 512), np.float32)))


def _index() -> bytes:
    """A list of what was generated with one entry, again and again."""
    return pickle.dumps([{"latent": np.ones((1, 512)), "image_name": "0.png"}] * 100_000)


def _own(tensors: dict[str, Tensor], config: str, kind: str = "stylegan2-encoder") -> bytes:
    """A file in our own layout."""
    header = {"schema_version": "1", "kind": kind, "config": config}
    return save(tensors or {"x": torch.zeros(1)}, header)
