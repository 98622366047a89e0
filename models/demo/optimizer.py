"""The regression stage's optimiser: Muon for the matrices between features, Adam for the rest.

Muon steps along the orthogonalised momentum of a weight matrix (Jordan 2024), so that no
direction is left behind: for the loss that Adam reached with 100,000 images of 16 x 16 pixels it
needed 41,000. Knows matrices and rates, nothing of pictures.
"""

from typing import Any

import torch
from torch import Tensor, nn

from models.stylegan2.networks import Generator

MATRIX = 10
"""Muon's rate over Adam's; an update's root mean square is 0.2 of it."""
MAPPING_MATRIX = 50
"""The same in the mapping network, whose stored weights are 1 / `mapping_lr_multiplier` larger."""


class MuonAndAdam:
    """An optimiser as torch's own are used, over all parameters of a generator.

    Attributes:
        param_groups: all parameters, for those who average gradients.
    """

    def __init__(self, generator: Generator) -> None:
        synthesis, mapping = generator.synthesis, generator.mapping
        self._matrices = [*_matrices(synthesis, "conv"), *_matrices(mapping, "layers.")]
        in_synthesis = len(_matrices(synthesis, "conv"))
        # Muon takes matrices only; the views share their storage with the weights.
        views = [nn.Parameter(p.data.view(len(p), -1)) for p in self._matrices]
        self._views = views
        groups = [{"params": views[:in_synthesis]}, {"params": views[in_synthesis:]}]
        self._muon = torch.optim.Muon(groups, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
        taken = {id(p) for p in self._matrices}
        others = [[p for p in m.parameters() if id(p) not in taken] for m in (synthesis, mapping)]
        self._adam = torch.optim.Adam([{"params": some} for some in others], betas=(0.9, 0.99))
        # The mapping's multiplier is undone: both halves learn at one pace.
        self._factors = (1.0, 1 / generator.config.mapping_lr_multiplier)
        self.param_groups = [*self._adam.param_groups, {"params": self._matrices}]

    def set_rate(self, rate: float) -> None:
        """The learning rate from now on, in Adam's terms."""
        for group, factor in zip(self._adam.param_groups, self._factors, strict=True):
            group["lr"] = rate * factor
        for group, factor in zip(self._muon.param_groups, (MATRIX, MAPPING_MATRIX), strict=True):
            group["lr"] = rate * factor

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        self._muon.zero_grad(set_to_none)

    @torch.no_grad()
    def step(self) -> None:
        """One step; parameters without a gradient stay as they are."""
        for view, matrix in zip(self._views, self._matrices, strict=True):
            view.grad = None if matrix.grad is None else matrix.grad.reshape(view.shape)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs."""
        return {"muon": self._muon.state_dict(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from `state`."""
        self._muon.load_state_dict(state["muon"])
        self._adam.load_state_dict(state["adam"])


def _matrices(module: nn.Module, infix: str) -> list[Tensor]:
    """Weights of convolutions or layers; styles and biases are not among them."""
    return [
        parameter
        for name, parameter in module.named_parameters()
        if infix in name and name.endswith(".weight") and "affine" not in name
    ]
