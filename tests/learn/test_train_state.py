"""What a training goes on with."""

import torch
from torch import nn

from shelfvision.learn.average import WeightAverage
from shelfvision.learn.train_state import Parts, Position, load_state, save_state


def parts(*, scale=None):
    model = nn.Linear(2, 1)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
    return Parts(model, WeightAverage(model, decay=0.9, ramp=5), torch.optim.AdamW(model.parameters()), scaler)


def test_a_state_without_a_scaler_goes_on_with_a_fresh_one(tmp_path):
    """Saved where the arithmetic needs none, resumed on an older GPU."""
    saved, resumed = parts(), parts(scale=8.0)
    save_state(tmp_path / "state", saved, Position(epoch=2), {})
    assert load_state(tmp_path / "state", resumed, {}) == Position(epoch=2)
    assert resumed.scaler.get_scale() == 8
    assert torch.equal(resumed.model.weight, saved.model.weight)


def test_a_scaler_goes_on_with_its_scale(tmp_path):
    saved, resumed = parts(scale=4.0), parts(scale=8.0)
    save_state(tmp_path / "state", saved, Position(epoch=2), {})
    load_state(tmp_path / "state", resumed, {})
    assert resumed.scaler.get_scale() == 4
