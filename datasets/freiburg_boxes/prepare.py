"""Divides freiburg_boxes for our measurements: each tenth picture of a class, by file name, is held out.

Writes OUT/annotations/instances_train.json and instances_val.json, which name the pictures where they are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shelfvision.data.coco import write_coco
from shelfvision.data.open_dataset import open_dataset
from shelfvision.data.placing import Placing
from shelfvision.errors import ShelfvisionError
from shelfvision.learn.picture_sets import hold_out

HELD_OUT = 10  # as configs/train/detector-freiburg.yaml has it


def main() -> int:
    """Write both splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder freiburg_boxes, with annotations.json and images/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    options = parser.parse_args()
    try:
        dataset = open_dataset(options.folder)
        for split, indices in zip(("train", "val"), hold_out(dataset, HELD_OUT), strict=True):
            part = dataset.take(indices.tolist())
            write_coco(part, options.out, split=split, placing=Placing.REFERENCE)
            print(f"{split}: {len(part)} pictures, {sum(len(picture) for picture in part)} boxes")
    except ShelfvisionError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
