"""One of our generators beside recordings of an original implementation, tensor by tensor."""

from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parents[1] / "golden"
TOLERANCE = 1e-4


def recorded(name):
    """
    The arrays that the original put out.
    """
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def error_of(actual, expected):
    """
    The largest difference, as a part of the expected tensor's largest magnitude. Of some tensors
    only the first sample was kept.
    """
    found = actual.detach().numpy()[: len(expected)]
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def errors(generator, expected):
    """
    What is compared, and how far it is off: codes, styles, activations, images, gradients.
    """
    z = torch.from_numpy(expected["z"])
    ws, wplus = (torch.from_numpy(expected[key]) for key in ("ws", "wplus_in"))
    found = activations(generator, z, ws)
    found["ws"] = generator.map(z)
    found["ws_psi0.7"] = generator.map(z, psi=0.7)
    found["image_const"] = generator.synthesize(ws)
    found["image_none"] = generator.synthesize(ws, noise="none")
    found["image_const_psi0.7"] = generator.synthesize(found["ws_psi0.7"])
    wplus.requires_grad_()
    found["wplus_image_const"] = generator.synthesize(wplus)
    score = (found["wplus_image_const"] * torch.from_numpy(expected["probe"])).sum()
    (found["wplus_grad"],) = torch.autograd.grad(score, wplus)
    return {key: error_of(found[key], expected[key]) for key in found.keys() & expected.keys()}


def activations(generator, z, ws):
    """
    What each layer puts out, keyed as the recordings are.
    """
    found, hooks = {}, []
    for name, module in generator.named_modules():
        if key := recorded_as(name):
            keep = lambda module, inputs, output, key=key: found.update({key: output})  # noqa: E731
            hooks.append(module.register_forward_hook(keep))
    generator.map(z)
    generator.synthesize(ws)
    for hook in hooks:
        hook.remove()
    return found


def recorded_as(name):
    """
    synthesis.blocks.8.conv0.affine -> style/8/conv0; None for what was not recorded.
    """
    match name.split("."):
        case ["mapping", "layers", index]:
            return f"act/mapping/fc{index}"
        case ["synthesis", "blocks", size, layer, "affine"]:
            return f"style/{size}/{layer.replace('to_rgb', 'torgb')}"
        case ["synthesis", "blocks", size, layer]:
            return f"act/{size}/{layer.replace('to_rgb', 'torgb')}"
    return None
