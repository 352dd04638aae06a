"""Runs a trained peer over pictures and writes what it finds for `shelfvision evaluate detector --detections FILE`.

Run it with the Python of the peer's own environment (see README.md); nothing of shelfvision is imported.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
from pathlib import Path

# before ultralytics is imported: no download of fonts or weights, no installing of packages, settings apart
os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir()) / "shelfvision-peer-settings"))
Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)

from ultralytics import YOLO  # noqa: E402 - it reads the environment when imported
from ultralytics.utils import nms  # noqa: E402 - as above

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}


def main() -> int:
    """Write all detections of all pictures of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="a .pt file of their tool")
    parser.add_argument("pictures", type=Path, help="folder of pictures")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--size", type=int, default=224, help="pixels of the square input")
    parser.add_argument("--least-score", type=float, default=0.001, help="their own validation uses 0.001")
    parser.add_argument("--overlap", type=float, default=0.7, help="of suppression; their own validation uses 0.7")
    parser.add_argument("--most", type=int, default=300, help="boxes a picture; 300 is their tool's own")
    options = parser.parse_args()
    paths = sorted(path for path in options.pictures.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        parser.error(f"{options.pictures}: no pictures there")
    network = YOLO(str(options.weights), task="detect")
    # a box counts for each of its classes, as in their validation and in ours; their predictions keep the best only
    nms.non_max_suppression = functools.partial(nms.non_max_suppression, multi_label=True)
    images = []
    for path in paths:
        (result,) = network.predict(
            source=str(path),
            imgsz=options.size,
            conf=options.least_score,
            iou=options.overlap,
            max_det=options.most,
            device="cpu",
            verbose=False,
        )
        boxes = result.boxes
        rows = zip(boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.int().tolist(), strict=True)
        found = [
            {"label": result.names[label], "score": score, "xyxy": xyxy}
            for xyxy, score, label in rows
            if xyxy[0] < xyxy[2] and xyxy[1] < xyxy[3]  # YOLO26 gives some whose sides are the wrong way round
        ]
        images.append({"image": str(path.absolute()), "detections": found})
    document = {"labels": [network.names[index] for index in sorted(network.names)], "images": images}
    part = options.out.with_name(f".{options.out.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(document))
    part.replace(options.out)
    print(f"{options.out}: {sum(len(entry['detections']) for entry in images)} boxes in {len(images)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
