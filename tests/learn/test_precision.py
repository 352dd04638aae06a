"""The number format that fits the device."""

import pytest
import torch

from shelfvision.errors import TrainingError
from shelfvision.learn.precision import choose_arithmetic


@pytest.mark.parametrize(("has_it", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_takes_bf16_where_the_gpu_has_it_and_else_fp16(monkeypatch, has_it, expected):
    """Asked without care, torch says yes of older GPUs too: they emulate it."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or has_it)
    assert choose_arithmetic("auto", torch.device("cuda")).reduced is expected


def test_fp16_on_a_processor_is_refused():
    with pytest.raises(TrainingError, match="fp16 needs a GPU"):
        choose_arithmetic("fp16", torch.device("cpu"))
