"""The form of a network that runs on a device: branches that sum up to one convolution are one.

Knows nothing of timing. Who exports, times or counts a network fuses it first; who trains it does not.
"""

from torch import nn

from search_spaces.ops.reparameterized import Reparameterized


def fuse_branches(model: nn.Module) -> nn.Module:
    """`model` with every `Reparameterized` in it replaced by its one convolution; changes `model` itself.

    Raises:
        ValueError: the model is in train mode, where batch norms are no constant factors.
    """
    if isinstance(model, Reparameterized):
        if model.training:
            raise ValueError("the network is in train mode; call eval() before fusing its branches")
        return model.fused()
    for name, child in model.named_children():
        fused = fuse_branches(child)
        if fused is not child:
            setattr(model, name, fused)
    return model
