"""Splits `freiburg_boxes` as our own training does, each tenth picture of a class held out, for the peers.

Run it with the Python that shelfvision is installed in. OUT/coco names the pictures where they are; OUT/yolo has links.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shelfvision.data.coco import write_coco
from shelfvision.data.open_dataset import open_dataset
from shelfvision.data.placing import Placing
from shelfvision.data.yolo import write_yolo
from shelfvision.learn.picture_sets import hold_out

HELD_OUT = 10  # as configs/train/detector-freiburg.yaml has it


def main() -> int:
    """Write both parts in both formats."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder freiburg_boxes")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--few", type=int, default=0, help="only so many pictures of each part, for a trial run")
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    for split, indices in zip(("train", "val"), hold_out(dataset, HELD_OUT), strict=True):
        step = max(1, len(indices) // options.few) if options.few else 1
        part = dataset.take(indices[::step].tolist())
        write_coco(part, options.out / "coco", split=split, placing=Placing.REFERENCE)
        write_yolo(part, options.out / "yolo", split=split)
        print(f"{split}: {len(part)} pictures, {sum(len(picture) for picture in part)} boxes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
