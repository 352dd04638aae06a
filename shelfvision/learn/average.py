"""The running average of a network's weights, which is judged and shipped in place of the last step's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from shelfvision.learn.schedule import average_decay


class WeightAverage:
    """Exponential moving average of all weights and statistics of a network; counters are copied.

    Args:
        model: the network; its tensors are read at every ``update``.
        decay: what an update keeps in the long run; 0 switches the average off.
        ramp: updates after which the decay is about two thirds there.
    """

    def __init__(self, model: nn.Module, *, decay: float, ramp: float) -> None:
        self._live = {} if decay == 0 else dict(model.state_dict())  # these share their storage with the network
        self._kept = {name: tensor.clone() for name, tensor in self._live.items()}
        self._decay, self._ramp = decay, ramp

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The averages by name; empty when switched off."""
        return self._kept

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Take in the weights as they are after ``updates`` steps."""
        if not self._kept:
            return
        share = 1 - average_decay(updates, decay=self._decay, ramp=self._ramp)
        smooth = [name for name, tensor in self._live.items() if tensor.is_floating_point()]
        # the form for many tensors has no public name; torch.optim.swa_utils calls it as well
        torch._foreach_lerp_([self._kept[name] for name in smooth], [self._live[name] for name in smooth], share)
        for name in self._live.keys() - set(smooth):
            self._kept[name].copy_(self._live[name])

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from averages that were saved."""
        for name, kept in self._kept.items():
            kept.copy_(tensors[name])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Within the block the network has the averaged weights; afterwards its own again, bit for bit."""
        own = {name: tensor.clone() for name, tensor in self._live.items() if name in self._kept}
        with torch.no_grad():
            for name, tensor in self._kept.items():
                self._live[name].copy_(tensor)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in own.items():
                    self._live[name].copy_(tensor)
