"""The weights that are judged and shipped in place of the last step's: a running average, and a share of the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from shelfvision.learn.schedule import average_decay


class WeightAverage:
    """Exponential moving average of all weights and statistics of a network; counters are copied.

    Args:
        model: the network as training finds it; its tensors are read at every ``update``.
        decay: what an update keeps in the long run; with 0 the average is the last step's weights.
        ramp: updates after which the decay is about two thirds there.
        start_share: share that the weights as training found them have in what is shown. What few pictures teach is
            kept then without losing what many have taught (WiSE-FT; Wortsman et al. 2022).
    """

    def __init__(self, model: nn.Module, *, decay: float, ramp: float, start_share: float = 0.0) -> None:
        on = decay > 0 or start_share > 0
        self._live = dict(model.state_dict()) if on else {}  # these share their storage with the network
        self._kept = {name: tensor.clone() for name, tensor in self._live.items()}
        self._start = {name: tensor.clone() for name, tensor in self._live.items()} if start_share > 0 else {}
        self._decay, self._ramp, self._start_share = decay, ramp, start_share

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What must be saved to go on; empty when there is neither average nor share of the start."""
        averages = {f"average/{name}": tensor for name, tensor in self._kept.items()}
        return averages | {f"start/{name}": tensor for name, tensor in self._start.items()}

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
        """Go on from what ``tensors`` held."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Within the block the network has the weights to judge and ship; afterwards its own again, bit for bit."""
        own = {name: tensor.clone() for name, tensor in self._live.items()}
        with torch.no_grad():
            for name, tensor in self._kept.items():
                mixed = self._start_share > 0 and tensor.is_floating_point()
                self._live[name].copy_(tensor.lerp(self._start[name], self._start_share) if mixed else tensor)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in own.items():
                    self._live[name].copy_(tensor)
