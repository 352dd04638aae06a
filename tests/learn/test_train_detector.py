"""A training that does not get what it needs says so in one line."""

import pytest
import torch

from shelfvision.errors import TrainingError
from shelfvision.learn.train_detector import shortages_explained


# a real worker cannot be killed here: torch raises from its SIGCHLD handler, now and then within its own clean-up
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.\nmore"),
            "prepares pictures died.*workers",
        ),
        (ConnectionResetError(104, "Connection reset by peer"), "prepares pictures died.*lower workers.*reset by peer"),
        (EOFError(), "prepares pictures died"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"), "GPU memory.*batch or size"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "memory does not suffice.*batch"),
    ],
)
def test_a_shortage_is_one_line_with_its_fix(error, message):
    with pytest.raises(TrainingError, match=message) as caught, shortages_explained():
        raise error
    assert "\n" not in str(caught.value)


def test_a_bug_stays_a_bug():
    with pytest.raises(RuntimeError, match="size of tensor"), shortages_explained():
        raise RuntimeError("The size of tensor a must match")
