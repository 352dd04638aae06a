"""Normalisation that stands still, folded into the convolution before it."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Module = TypeVar("Module", bound=nn.Module)


def folded(module: Module) -> Module:
    """A copy that gives what ``module`` gives in evaluation mode, to rounding, with fewer passes over its maps.

    Each convolution with a batch norm right behind it in an ``nn.Sequential`` becomes one convolution with weight
    ``w * gain`` and bias ``shift - mean * gain``, where ``gain = scale / sqrt(variance + eps)`` (Jacob et al. 2018,
    section 3.2). What follows one another in another way stays as it is.
    """
    result = copy.deepcopy(module).eval()
    for part in result.modules():
        # a subclass may call its parts in another order
        if isinstance(part, nn.Sequential) and type(part).forward is nn.Sequential.forward:
            for index, (conv, norm) in enumerate(pairwise(part)):
                # a subclass of the norm may do more than that; one without statistics norms by the batch
                if isinstance(conv, nn.Conv2d) and type(norm) is nn.BatchNorm2d and norm.running_mean is not None:
                    part[index] = fuse_conv_bn_eval(conv, norm)
                    part[index + 1] = nn.Identity()
    return result
