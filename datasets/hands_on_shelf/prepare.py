"""Brings hands_on_shelf into the form of our measurements: classes product and hand, a recording a split.

Writes OUT/annotations/instances_china_v1.json and instances_v2.json, which name the pictures where they are.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from shelfvision.data.coco import write_coco
from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.data.images import image_size
from shelfvision.data.placing import Placing
from shelfvision.data.relabel import align_labels, relabel
from shelfvision.data.voc import read_voc
from shelfvision.errors import ShelfvisionError

LABELS = ("product", "hand")


def main() -> int:
    """Write a file for each recording, a folder of pictures with Pascal VOC files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder hands_on_shelf, with a folder for each recording")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    options = parser.parse_args()
    try:
        recordings = sorted(
            path.parent for path in {file.parent: file for file in options.folder.glob("*/*.xml")}.values()
        )
        if not recordings:
            print(f"error: {options.folder}: no recording (a folder of pictures and .xml files) in it", file=sys.stderr)
            return 1
        for recording in recordings:
            part = prepared(recording)
            write_coco(part, options.out, split=recording.name, placing=Placing.REFERENCE)
            without = sum(not len(picture) for picture in part)
            boxes = sum(len(picture) for picture in part)
            print(f"{recording.name}: {len(part)} pictures ({without} without boxes), {boxes} boxes")
    except ShelfvisionError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def prepared(recording: Path) -> Dataset:
    """One recording with our classes, pictures in order of time; those without a file of boxes show an empty tray."""
    dataset = read_voc(recording)
    mapping = {"*": "product"} | ({"hand": "hand"} if "hand" in dataset.labels else {})
    labelled = align_labels(relabel(dataset, mapping), LABELS)
    known = {picture.path for picture in labelled}
    empty = [
        LabelledPicture(
            path, image_size(path), np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
        )
        for path in recording.glob("*.jpg")
        if path not in known
    ]
    return replace(
        labelled, pictures=tuple(sorted([*labelled.pictures, *empty], key=lambda picture: picture.path.name))
    )


if __name__ == "__main__":
    sys.exit(main())
