"""State dictionaries of the families that are read by name, with one tensor damaged."""

import pytest
import torch
from support.generator_files import (
    genforce_state,
    mmgeneration_state,
    random_generator,
    rosinality_state,
    tensorflow_network,
)

from models.checkpoints import genforce, mmgeneration, rosinality, tensorflow
from models.checkpoints.notes import Notes
from models.checkpoints.unpickle import Inert
from models.errors import CheckpointError

DAMAGES = {
    "a number": lambda tensor: torch.zeros(()),
    "nothing": lambda tensor: torch.zeros(0),
    "one axis": lambda tensor: tensor.flatten(),
    "one axis more": lambda tensor: tensor[None].expand(2, *tensor.shape),
    "truths": lambda tensor: (tensor > 0).flatten()[:1],
}
ORIGINAL = random_generator()
ROSINALITY, MMGENERATION = rosinality_state(ORIGINAL), mmgeneration_state(ORIGINAL, "")
GENFORCE = genforce_state(ORIGINAL)


def variables(network):
    """The variables of all components of a network of TensorFlow's."""
    inner = [dict(part.state["variables"]) for part in network.state["components"].values()]
    return {**dict(network.state["variables"]), **inner[0], **inner[1]}


TENSORFLOW = {k: torch.as_tensor(v) for k, v in variables(tensorflow_network(ORIGINAL)).items()}


def as_network(tensors):
    """One network, as the reader returns it."""
    found = [(name, tensor.float().numpy()) for name, tensor in tensors.items()]
    state = {"version": 5, "static_kwargs": {}, "variables": found}
    return Inert(tensorflow.NETWORK, state=state)


FAMILIES = {
    "rosinality": (rosinality, {**ROSINALITY, "latent_avg": ORIGINAL.w_avg}, dict),
    "mmgeneration": (mmgeneration, MMGENERATION, dict),
    "genforce": (genforce, GENFORCE, dict),
    "tensorflow": (tensorflow, TENSORFLOW, as_network),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_generators_or_checkpoint_errors(family, damage):
    """
    Whichever tensor is damaged and however, the answer is a checkpoint error that names the
    file, unless what is left is a whole generator.
    """
    module, state, packed = FAMILIES[family]
    messages = []
    for key in list(state)[::3]:
        root = packed({**state, key: DAMAGES[damage](state[key])})
        try:
            module.build(root, "some.file", Notes())
        except CheckpointError as error:
            messages.append(str(error))

    assert messages
    assert all("some.file" in message for message in messages)
