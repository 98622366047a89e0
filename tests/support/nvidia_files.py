"""Writes files as NVIDIA's training loops do, out of named tensors and a few settings.

The pickles call `torch_utils.persistence._reconstruct_persistent_obj`, which exists nowhere
here; the source text that a real file carries is one line that raises if anybody runs it.
"""

import io
import pickle
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import torch

CLASSES = {
    "": "Generator",
    "mapping": "MappingNetwork",
    "synthesis": "SynthesisNetwork",
    "conv0": "SynthesisLayer",
    "conv1": "SynthesisLayer",
    "torgb": "ToRGBLayer",
    "skip": "Conv2dLayer",
}
BUFFERS = ("resample_filter", "noise_const", "w_avg", "freqs")


class Global:
    """A name in a module that need not exist."""

    def __init__(self, module, name):
        self.module, self.name = module, name
        self.__name__ = name

    def __call__(self):
        raise AssertionError("only ever named")


class Persistent:
    """One object with its class's source text."""

    def __init__(self, class_name, **state):
        self.class_name, self.state = class_name, state

    def __reduce__(self):
        meta = {
            "type": "class",
            "version": 6,
            "module_src": "raise RuntimeError('source text was executed')",
            "class_name": self.class_name,
            "state": self.state,
        }
        return Global("torch_utils.persistence", "_reconstruct_persistent_obj"), (meta,)


class Pickler(pickle._Pickler):
    """Also pickles `Global`s, without looking for them."""

    def save_named(self, named):
        if self.proto >= 4:
            self.save(named.module)
            self.save(named.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{named.module}\n{named.name}\n".encode())


Pickler.dispatch = {**pickle._Pickler.dispatch, Global: Pickler.save_named}


def module(class_name, **attributes):
    """A torch module's state, empty but for its attributes."""
    fields = {"training": False, "_parameters": OrderedDict(), "_buffers": OrderedDict()}
    return Persistent(class_name, **fields, _modules=OrderedDict(), **attributes)


def network(tensors, attributes=None):
    """
    The tree of objects that holds `tensors` {dotted name: tensor}.

    `attributes` {path: {name: value}} are set on objects; the linear layers of the mapping get
    their gains from `weight_gain = m / sqrt(in)` with m = 0.01 unless told otherwise.
    """
    at = {"": module(CLASSES[""])}
    for path in (attributes or {}) | tensors:
        parts = path.split(".")
        for depth in range(1, len(parts) + (path not in tensors)):
            prefix, name = ".".join(parts[:depth]), parts[depth - 1]
            if prefix not in at:
                at[prefix] = module(CLASSES.get(name, class_of(name)))
                parent = at[".".join(parts[: depth - 1])]
                parent.state["_modules"][name] = at[prefix]
    for path, tensor in tensors.items():
        prefix, _, name = path.rpartition(".")
        buffer = name in BUFFERS
        kept = tensor if buffer else torch.nn.Parameter(tensor, requires_grad=False)
        at[prefix].state["_buffers" if buffer else "_parameters"][name] = kept
    for path, values in (attributes or {}).items():
        at[path].state.update(values)
    return at[""]


def class_of(name):
    return "SynthesisBlock" if name.startswith("b") else "FullyConnectedLayer"


def described(tensors, fp16=(), clamp=None, architecture="skip", multiplier=0.01):
    """The attributes that objects of a StyleGAN2 generator carry, by path."""
    found = {}
    for path in {name.rpartition(".")[0] for name in tensors}:
        parts = path.split(".")
        if parts[-1].startswith("fc"):
            gain = np.float64(multiplier / tensors[f"{path}.weight"].shape[1] ** 0.5)
            found[path] = {"activation": "lrelu", "weight_gain": gain, "bias_gain": multiplier}
        elif parts[-1] in ("conv0", "conv1"):
            gain = np.float64(2**0.5)
            found[path] = {"activation": "lrelu", "conv_clamp": clamp, "act_gain": gain}
        elif parts[-1] == "torgb":
            found[path] = {"conv_clamp": clamp}
    for path in {".".join(name.split(".")[:2]) for name in tensors if ".b" in name[:12]}:
        rows = int(path.removeprefix("synthesis.b"))
        facts = {"resolution": rows, "use_fp16": rows in fp16, "architecture": architecture}
        found[path] = facts
    return found


def dumped(root, protocol=4):
    """A plain pickle, as the training loop writes."""
    buffer = io.BytesIO()
    Pickler(buffer, protocol).dump(root)
    return buffer.getvalue()


def torch_saved(root, legacy=False):
    """What `torch.save` writes, in its present or its first form."""
    ours = SimpleNamespace(
        Pickler=Pickler, dump=lambda o, f, protocol: Pickler(f, protocol).dump(o)
    )
    ours.__name__ = "pickle"
    buffer = io.BytesIO()
    torch.save(root, buffer, ours, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def generator_object(tensors, **settings):
    """A whole generator of `tensors`, its settings as in `described`."""
    return network(tensors, described(tensors, **settings))


def assert_holds(generator, tensors):
    """Every tensor came through bit by bit; filters are settings, not tensors, of ours."""
    ours = {our_name(n): t for n, t in tensors.items() if not n.endswith("resample_filter")}
    state = generator.state_dict()
    assert ours.keys() == state.keys()
    for key, tensor in ours.items():
        assert torch.equal(tensor, state[key]), key


def our_name(name):
    """synthesis.b8.torgb.bias -> synthesis.blocks.8.to_rgb.bias"""
    if name == "synthesis.b4.const":
        return "synthesis.constant"
    name = name.replace("mapping.fc", "mapping.layers.").replace("torgb", "to_rgb")
    return name.replace("synthesis.b", "synthesis.blocks.")
