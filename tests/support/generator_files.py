"""Writes a generator of ours as other programs do, from their published names of tensors.

Spelled out layer by layer, so that the readers are not their own witness.
"""

import torch
from support.nvidia_files import Global

from models.stylegan2.config import GeneratorConfig
from models.stylegan2.networks import Generator


def random_generator(seed=0, **changes):
    """
    A generator of 16 x 16 images in which no tensor has its initial value.
    """
    fields = {
        "z_dim": 6,
        "w_dim": 6,
        "image_shape": (3, 16, 16),
        "channels": (7, 5, 4),
        "mapping_widths": (6, 6, 6),
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = Generator(GeneratorConfig(**{**fields, **changes}))
        for tensor in generator.state_dict().values():
            tensor.add_(torch.randn(tensor.shape))
    return generator.eval().requires_grad_(False)


def blocks_of(generator):
    """(index, rows, block) of each resolution."""
    return [
        (index, 4 << index, block)
        for index, block in enumerate(generator.synthesis.blocks.values())
    ]


def kernel_of(generator):
    """The filter as these layouts store it: sum 4."""
    return 4 * generator.synthesis.kernel


def rosinality_state(generator):
    """
    The state dictionary of rosinality's network.
    """
    state = {"input.input": generator.synthesis.constant[None]}
    for number, layer in enumerate(generator.mapping.layers, start=1):
        state |= {f"style.{number}.weight": layer.weight, f"style.{number}.bias": layer.bias}
    for index, _, block in blocks_of(generator):
        state |= rosinality_conv(f"convs.{2 * index - 1}" if index else "conv1", block.conv1)
        state[f"noises.noise_{2 * index}"] = block.conv1.noise_const[None, None]
        state |= rosinality_rgb(f"to_rgbs.{index - 1}" if index else "to_rgb1", block.to_rgb)
        if index:
            state |= rosinality_conv(f"convs.{2 * index - 2}", block.conv0)
            state[f"noises.noise_{2 * index - 1}"] = block.conv0.noise_const[None, None]
            state[f"convs.{2 * index - 2}.conv.blur.kernel"] = kernel_of(generator)
            state[f"to_rgbs.{index - 1}.upsample.kernel"] = kernel_of(generator)
    return plain(state)


def rosinality_conv(name, conv):
    return {
        f"{name}.conv.weight": conv.weight[None],
        f"{name}.conv.modulation.weight": conv.affine.weight,
        f"{name}.conv.modulation.bias": conv.affine.bias,
        f"{name}.noise.weight": conv.noise_strength[None],
        f"{name}.activate.bias": conv.bias,
    }


def rosinality_rgb(name, layer):
    return {
        f"{name}.conv.weight": layer.weight[None],
        f"{name}.conv.modulation.weight": layer.affine.weight,
        f"{name}.conv.modulation.bias": layer.affine.bias,
        f"{name}.bias": layer.bias[None, :, None, None],
    }


def mmgeneration_state(generator, prefix="generator_ema."):
    """
    The state dictionary of mmgeneration's network.
    """
    state = {"constant_input.input": generator.synthesis.constant[None]}
    for number, layer in enumerate(generator.mapping.layers, start=1):
        state[f"style_mapping.{number}.linear.weight_orig"] = layer.weight
        state[f"style_mapping.{number}.bias"] = layer.bias
    for index, _, block in blocks_of(generator):
        layers = {f"convs.{2 * index - 1}" if index else "conv1": block.conv1}
        state[f"injected_noise_{2 * index}"] = block.conv1.noise_const[None, None]
        if index:
            layers[f"convs.{2 * index - 2}"] = block.conv0
            state[f"injected_noise_{2 * index - 1}"] = block.conv0.noise_const[None, None]
            state[f"convs.{2 * index - 2}.conv.blur.kernel"] = kernel_of(generator)
            state[f"to_rgbs.{index - 1}.upsample.kernel"] = kernel_of(generator)
        for name, conv in layers.items():
            state[f"{name}.noise_injector.weight"] = conv.noise_strength[None]
            state[f"{name}.activate.bias"] = conv.bias
        layers[image := f"to_rgbs.{index - 1}" if index else "to_rgb1"] = block.to_rgb
        state[f"{image}.bias"] = block.to_rgb.bias[None, :, None, None]
        for name, layer in layers.items():
            state[f"{name}.conv.weight_orig"] = layer.weight[None]
            state[f"{name}.conv.style_modulation.linear.weight_orig"] = layer.affine.weight
            state[f"{name}.conv.style_modulation.bias"] = layer.affine.bias
    return plain({prefix + key: tensor for key, tensor in state.items()})


def genforce_state(generator):
    """
    The state dictionary of genforce's network.
    """
    state = {
        "synthesis.early_layer.const": generator.synthesis.constant[None],
        "truncation.w_avg": generator.w_avg,
    }
    for number, layer in enumerate(generator.mapping.layers):
        state[f"mapping.dense{number}.weight"] = layer.weight
        state[f"mapping.dense{number}.bias"] = layer.bias
    for index, _, block in blocks_of(generator):
        layers = {f"layer{2 * index}": block.conv1, f"output{index}": block.to_rgb}
        if index:
            layers[f"layer{2 * index - 1}"] = block.conv0
        for name, layer in layers.items():
            enlarges = index > 0 and layer is block.conv0
            state[f"synthesis.{name}.weight"] = mirrored(layer.weight, enlarges)
            state[f"synthesis.{name}.bias"] = layer.bias
            state[f"synthesis.{name}.style.weight"] = layer.affine.weight
            state[f"synthesis.{name}.style.bias"] = layer.affine.bias - 1
            if layer is not block.to_rgb:
                state[f"synthesis.{name}.noise_strength"] = layer.noise_strength
                state[f"synthesis.{name}.noise"] = layer.noise_const[None, None]
    return plain(state)


def mirrored(weight, yes=True):
    return weight.flip(2, 3) if yes else weight


def plain(state):
    return {key: tensor.detach().clone() for key, tensor in state.items()}


class Network:
    """A network of TensorFlow's as it is pickled."""

    def __init__(self, variables=(), components=None, version=4, **settings):
        self.state = {
            "version": version,
            "name": "network",
            "static_kwargs": settings,
            "components": components or {},
            "build_module_src": "raise RuntimeError('source text was executed')",
            "build_func_name": "G_main",
            "variables": list(variables),
        }

    def __reduce__(self):
        return Global("dnnlib.tflib.network", "Network"), (), self.state


def tensorflow_network(generator, version=5, **settings):
    """
    Gs as StyleGAN2 (version 4) and StyleGAN2-ADA (5) pickle it.
    """
    mapping, synthesis = {}, {"4x4/Const/const": generator.synthesis.constant[None]}
    for number, layer in enumerate(generator.mapping.layers):
        mapping |= {f"Dense{number}/weight": layer.weight.T, f"Dense{number}/bias": layer.bias}
    if generator.label_dim:
        embed = generator.mapping.embed
        mapping |= {"LabelEmbed/weight": embed.weight.T, "LabelEmbed/bias": embed.bias}
    for index, rows, block in blocks_of(generator):
        last = block.conv1
        synthesis |= tensorflow_layer(f"{rows}x{rows}/{'Conv1' if index else 'Conv'}", last)
        synthesis[f"noise{2 * index}"] = last.noise_const[None, None]
        if index:
            synthesis |= tensorflow_layer(f"{rows}x{rows}/Conv0_up", block.conv0, flip=True)
            synthesis[f"noise{2 * index - 1}"] = block.conv0.noise_const[None, None]
        if hasattr(block, "skip"):
            weight = mirrored(block.skip.weight).permute(2, 3, 1, 0)
            synthesis[f"{rows}x{rows}/Skip/weight"] = weight
        if hasattr(block, "to_rgb"):
            synthesis |= tensorflow_layer(f"{rows}x{rows}/ToRGB", block.to_rgb)
    top = {"lod": torch.zeros(()), "dlatent_avg": generator.w_avg}
    components = {
        "synthesis": Network(arrays(synthesis), version=version),
        "mapping": Network(arrays(mapping), version=version),
    }
    return Network(arrays(top), components, version, **settings)


def tensorflow_layer(name, layer, flip=False):
    found = {
        f"{name}/weight": mirrored(layer.weight, flip).permute(2, 3, 1, 0),
        f"{name}/bias": layer.bias,
        f"{name}/mod_weight": layer.affine.weight.T,
        f"{name}/mod_bias": layer.affine.bias - 1,
    }
    if hasattr(layer, "noise_strength"):
        found[f"{name}/noise_strength"] = layer.noise_strength
    return found


def arrays(tensors):
    """Variables as TensorFlow's sessions return them: arrays, and numbers for shape ()."""
    return [(name, tensor.detach().numpy()[()]) for name, tensor in tensors.items()]
