"""Workers are forked from a process whose OpenCV has already worked with threads of its own."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import cv2, numpy as np, sys
from pathlib import Path
from shelfvision.data.augment_settings import AUGMENT_OFF
from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.data.loader import training_loader
cv2.setNumThreads(4)
big = np.random.default_rng(0).integers(0, 255, (2000, 3000, 3), np.uint8)
for _ in range(3):
    cv2.GaussianBlur(cv2.resize(big, (2500, 1500)), (31, 31), 5)  # starts OpenCV's threads
path = Path(sys.argv[1])
cv2.imwrite(str(path), big[:90, :120])
none = np.zeros(0, np.int64)
picture = LabelledPicture(path, (120, 90), np.zeros((0, 4), np.float32), none, none.astype(bool))
data = Dataset(("a",), (picture,) * 4)
loader = training_loader(data, size=64, batch=2, augment=AUGMENT_OFF, seed=0, epoch=0, workers=2)
print(sum(len(batch.indices) for batch in loader))
"""


def test_workers_begin_although_opencv_has_worked_in_threads_before(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "a.png")], capture_output=True, text=True, timeout=90, check=True
    )
    assert run.stdout.split() == ["4"]
