"""Exports a peer's detector to ONNX with the peer's own tool, for `shelfvision bench detector --peer FILE.onnx`.

Run it with the Python of the peer's own environment (see README.md); nothing of shelfvision is imported. Time does not
depend on what the weights are, so an architecture (`yolo26n`) may be exported untrained; a trained one is a `.pt` file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

# before ultralytics is imported: no download of fonts or weights, no installing of packages, settings apart
os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir()) / "shelfvision-peer-settings"))
Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)

from ultralytics import YOLO  # noqa: E402 - it reads the environment when imported

# what their tool calls `nms` when it exports
HEADS = {
    "raw": None,  # one output for every point, suppression is left to the caller: their default
    "free": False,  # the head that needs no suppression, top 300 in the graph: what YOLO26 is known for
    "graph": True,  # suppression inside the graph
}


def main() -> int:
    """Export one model and say where it lies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="yolo11n, yolo26n (untrained) or a .pt file")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--size", type=int, default=640, help="pixels of the square input")
    parser.add_argument("--head", choices=HEADS, default="raw", help="how boxes leave the graph")
    options = parser.parse_args()
    network = YOLO(options.model if options.model.endswith(".pt") else f"{options.model}.yaml", task="detect")
    out = options.out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # their exporter writes into the working folder
        made = Path(network.export(format="onnx", imgsz=options.size, nms=HEADS[options.head]))
        part = out.with_name(f".{out.name}.part")
        shutil.copyfile(made, part)
        if options.model.endswith(".pt"):
            made.unlink(missing_ok=True)  # beside the weights otherwise
    part.replace(out)
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
