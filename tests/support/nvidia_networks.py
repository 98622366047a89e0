"""StyleGAN2 generators in NVIDIA's spelling: random tensors, and what they compute.

The arithmetic is the published description taken literally, in float64: weights are modulated
for each sample, zeros are inserted before filtering, nothing is shared with the package.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Variant:
    """One network; `const` is (rows, columns) of its constant."""

    z: int = 6
    w: int = 8
    labels: int = 0
    embed: int = 5
    image: int = 3
    const: tuple = (4, 4)
    channels: tuple = (6, 5, 4)
    widths: tuple = (9, 8)
    taps: tuple = (1, 3, 3, 1)
    noise: bool = True
    clamp: float | None = None
    architecture: str = "skip"
    multiplier: float = 0.01

    @property
    def sizes(self):
        return [4 << i for i in range(len(self.channels))]

    def draws(self, size):
        return self.architecture == "skip" or size == self.sizes[-1]


def kernel_of(taps):
    """As files store it: a square that sums to 1, a line from 8 taps on."""
    line = torch.tensor(taps, dtype=torch.float32) / sum(taps)
    return line if len(taps) >= 8 else torch.outer(line, line)


def tensors_of(variant, seed=0):
    """{dotted name: float32 tensor} of a generator whose weights follow from `seed`."""
    stream = torch.Generator().manual_seed(seed)
    found = {}

    def draw(name, *shape, scale=1.0, mean=0.0):
        found[name] = torch.randn(shape, generator=stream) * scale + mean

    def affine(name, out):
        draw(f"{name}.affine.weight", out, variant.w)
        draw(f"{name}.affine.bias", out, scale=0.2, mean=1.0)

    def conv(name, i, o, size):
        draw(f"{name}.weight", o, i, 3, 3)
        draw(f"{name}.bias", o, scale=0.2)
        affine(name, i)
        if variant.noise:
            draw(f"{name}.noise_strength", scale=0.3)
            draw(f"{name}.noise_const", *(side * size // 4 for side in variant.const))
        found[f"{name}.resample_filter"] = kernel_of(
            variant.taps if name.endswith("conv0") else (1, 3, 3, 1)
        )

    width = variant.z
    if variant.labels:
        draw("mapping.embed.weight", variant.embed, variant.labels)
        draw("mapping.embed.bias", variant.embed)
        width += variant.embed
    for index, out in enumerate(variant.widths):
        draw(f"mapping.fc{index}.weight", out, width, scale=1 / variant.multiplier)
        draw(f"mapping.fc{index}.bias", out, scale=0.2 / variant.multiplier)
        width = out
    draw("mapping.w_avg", variant.w, scale=0.3)
    previous = 0
    for size, out in zip(variant.sizes, variant.channels, strict=True):
        name = f"synthesis.b{size}"
        found[f"{name}.resample_filter"] = kernel_of(variant.taps)
        if previous:
            conv(f"{name}.conv0", previous, out, size)
            if variant.architecture == "resnet":
                draw(f"{name}.skip.weight", out, previous, 1, 1)
                found[f"{name}.skip.resample_filter"] = kernel_of(variant.taps)
        else:
            draw(f"{name}.const", out, *variant.const)
        conv(f"{name}.conv1", out, out, size)
        if variant.draws(size):
            draw(f"{name}.torgb.weight", variant.image, out, 1, 1)
            draw(f"{name}.torgb.bias", variant.image, scale=0.2)
            affine(f"{name}.torgb", out)
        previous = out
    return found


class Reference:
    """What a network of `variant` with `tensors` computes, in float64."""

    def __init__(self, variant, tensors):
        self.variant = variant
        self.tensors = {name: tensor.double() for name, tensor in tensors.items()}

    def map(self, z, labels=None):
        """w [N, w_dim]."""
        t, v = self.tensors, self.variant
        parts = [second_moment(z.double())] if v.z else []
        if v.labels:
            weight = t["mapping.embed.weight"] / v.labels**0.5
            parts.append(second_moment(labels.double() @ weight.T + t["mapping.embed.bias"]))
        x = torch.cat(parts, 1)
        for index in range(len(v.widths)):
            weight, bias = (t[f"mapping.fc{index}.{kind}"] for kind in ("weight", "bias"))
            gain = v.multiplier / weight.shape[1] ** 0.5
            x = lrelu(x @ (weight * gain).T + bias * v.multiplier)
        return x

    def synthesize(self, ws, noise=True):
        """Images, and [constant, styled convolutions coarse to fine]."""
        t, v, ws = self.tensors, self.variant, ws.double()
        x = t["synthesis.b4.const"].expand(len(ws), -1, -1, -1)
        maps, image, index = [x], None, 0
        for size in v.sizes:
            name, gain, around = f"synthesis.b{size}", 1.0, None
            if size > 4:
                if v.architecture == "resnet":
                    gain = 0.5**0.5
                    weight = t[f"{name}.skip.weight"]
                    around = self.enlarged(F.conv2d(x, weight / weight.shape[1] ** 0.5)) * gain
                x = self.conv(f"{name}.conv0", x, ws[:, index], noise, up=True)
                maps.append(x)
                index += 1
            x = self.conv(f"{name}.conv1", x, ws[:, index], noise, gain=gain)
            maps.append(x)
            index += 1
            x = x if around is None else x + around
            if v.draws(size):
                rgb = self.to_rgb(f"{name}.torgb", x, ws[:, index])
                image = rgb if image is None else self.enlarged(image) + rgb
        return image, maps

    def style(self, name, w):
        weight = self.tensors[f"{name}.affine.weight"] / w.shape[1] ** 0.5
        return w @ weight.T + self.tensors[f"{name}.affine.bias"]

    def conv(self, name, x, w, noise, up=False, gain=1.0):
        t, styles = self.tensors, self.style(name, w)
        samples = []
        for sample, style in zip(x, styles, strict=True):
            weight = t[f"{name}.weight"] * style[None, :, None, None]
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            if up:
                wide = F.conv_transpose2d(sample[None], weight.transpose(0, 1), stride=2)
                taps = len(self.variant.taps)
                samples.append(self.filtered(wide, (taps + 1) // 2 - 1, (taps - 2) // 2))
            else:
                samples.append(F.conv2d(sample[None], weight, padding=1))
        y = torch.cat(samples)
        if self.variant.noise and noise:
            y = y + t[f"{name}.noise_const"] * t[f"{name}.noise_strength"]
        return self.clamped(lrelu(y + t[f"{name}.bias"][:, None, None]) * gain, gain)

    def to_rgb(self, name, x, w):
        weight = self.tensors[f"{name}.weight"][:, :, 0, 0]
        scaled = x * (self.style(name, w) / weight.shape[1] ** 0.5)[:, :, None, None]
        rgb = torch.einsum("ci,nihw->nchw", weight, scaled)
        return self.clamped(rgb + self.tensors[f"{name}.bias"][:, None, None])

    def clamped(self, x, gain=1.0):
        limit = self.variant.clamp
        return x if limit is None else x.clamp(-limit * gain, limit * gain)

    def enlarged(self, x):
        """Zeros between pixels, then the filter."""
        stuffed = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        stuffed[:, :, ::2, ::2] = x
        taps = len(self.variant.taps)
        return self.filtered(stuffed, (taps + 1) // 2, (taps - 2) // 2)

    def filtered(self, x, before, after):
        """Padded and truly convolved with the filter, gain 4."""
        line = torch.tensor(self.variant.taps, dtype=torch.float64) / sum(self.variant.taps)
        kernel = torch.outer(line, line).flip(0, 1) * 4
        padded = F.pad(x, (before, after, before, after))
        return F.conv2d(padded, kernel.expand(x.shape[1], 1, -1, -1), groups=x.shape[1])


def second_moment(x):
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def lrelu(x):
    return torch.where(x > 0, x, 0.2 * x) * 2**0.5
