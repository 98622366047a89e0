"""Whether an encoder's codes steer a generator, told from their cards. Pure.

The service asks before it makes a job of it, the worker before it fetches the networks.
"""

from collections.abc import Mapping
from typing import Any


def misfit(encoder: Mapping[str, Any], generator: Mapping[str, Any]) -> str | None:
    """Why an encoder cannot start an inversion into a generator; None where it can.

    Args:
        encoder: its card.
        generator: its card.
    """
    if encoder["w_dim"] != generator["w_dim"]:
        widths = f"its codes have {encoder['w_dim']} numbers"
        return f"{widths}, the generator's have {generator['w_dim']}"
    if encoder["num_ws"] < generator["num_ws"]:
        return (
            f"it gives {encoder['num_ws']} codes, the generator takes {generator['num_ws']}; "
            "use an encoder that was trained for this resolution"
        )
    channels, _, _ = encoder["input_shape"]
    if channels not in (3, 6):
        return f"it reads {channels} channels, not pictures"
    return None
