"""Parts that exist while a network trains and never after. Knows nothing of what they compute.

BiSeNet's published timings once counted such heads (CoinCheung/BiSeNet issue 158), hence the check before export
and timing.
"""

from torch import nn


class TrainingOnly(nn.Module):
    """What is never saved, exported or timed: heads for the loss alone."""


def training_only_parts(model: nn.Module) -> list[str]:
    """Names of the submodules that are there for training alone: TrainingOnly modules, and modules with a tap.

    A tap is a forward hook, by which such a head reads a feature.
    """
    return [
        name or "the network"
        for name, module in model.named_modules()
        if isinstance(module, TrainingOnly) or module._forward_hooks or module._forward_pre_hooks
    ]
