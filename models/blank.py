"""Networks made without drawing first weights: for those that take theirs from a file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Blank(TorchFunctionMode):
    """Parameters of modules made within it hold whatever their memory held.

    That memory is not touched, so parameters that are replaced afterwards cost none. The meta
    device would do, but its first arithmetic loads 150 MB of Python modules and takes seconds.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs every function of torch's but those that draw first weights."""
        if getattr(function, "__module__", None) == "torch.nn.init":
            return None
        if function is torch.randn:
            function = torch.empty
        return function(*args, **(kwargs or {}))
