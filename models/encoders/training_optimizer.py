"""The optimiser of an encoder's training: Muon for matrices and convolutions, Adam for the rest.

Muon steps along the orthogonalised momentum of a weight matrix (Jordan 2024): no direction is left
behind, so each image teaches more. Ranger is the papers' choice. One rate serves both halves, for
an update of Muon's is as large as one of Adam's. Ten times as much, as for the demo's generator
with its equalised layers, makes the loop diverge: what a pass overshoots the next one sees.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MuonAndAdam:
    """One step of both for all parameters of a module; its state is flat."""

    def __init__(self, module: nn.Module) -> None:
        parameters = list(module.parameters())
        self._matrices = [p for p in parameters if p.ndim > 1]
        # Muon takes matrices only; the views share their storage with the weights.
        self._views = [nn.Parameter(p.data.view(len(p), -1)) for p in self._matrices]
        self._muon = torch.optim.Muon(self._views, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
        self._adam = torch.optim.Adam([p for p in parameters if p.ndim < 2], betas=(0.9, 0.99))

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self._adam.zero_grad()
        for matrix in self._matrices:
            matrix.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step at a rate; parameters without a gradient stay as they are."""
        for view, matrix in zip(self._views, self._matrices, strict=True):
            view.grad = None if matrix.grad is None else matrix.grad.reshape(view.shape)
        for half in self._halves().values():
            half.param_groups[0]["lr"] = rate
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adam.step()

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs: a tensor for each number of each parameter."""
        return {
            f"{name}.{index}.{key}": tensor
            for name, half in self._halves().items()
            for index, kept in half.state_dict()["state"].items()
            for key, tensor in kept.items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from `state`."""
        for name, half in self._halves().items():
            moments: dict[int, dict[str, Tensor]] = {}
            for path, tensor in state.items():
                owner, index, key = path.split(".")
                if owner == name:
                    moments.setdefault(int(index), {})[key] = tensor
            groups = half.state_dict()["param_groups"]
            half.load_state_dict({"state": moments, "param_groups": groups})

    def _halves(self) -> dict[str, torch.optim.Optimizer]:
        return {"muon": self._muon, "adam": self._adam}
