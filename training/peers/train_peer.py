"""Trains a peer's detector from scratch with the peer's own tool and defaults.

Run it with the Python of the peer's own environment (see README.md); nothing of shelfvision is imported and nothing is
downloaded. The data is a folder in Ultralytics' layout, as `shelfvision data convert --to yolo` writes it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

# before ultralytics is imported: no download of fonts or weights, no installing of packages, settings apart
os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir()) / "shelfvision-peer-settings"))
Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)

import torch  # noqa: E402 - after the environment is set
import ultralytics  # noqa: E402 - it reads the environment when imported


def main() -> int:
    """Train one model; OUT/weights/best.pt is what their tool calls the best epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="yolo11n or yolo26n")
    parser.add_argument("--data", type=Path, required=True, help="data.yaml of the folder")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--size", type=int, default=224, help="pixels of the square input")
    parser.add_argument("--batch", type=int, default=16, help="pictures a step (16 is their default)")
    parser.add_argument("--workers", type=int, default=2, help="processes that load pictures")
    parser.add_argument("--fraction", type=float, default=1.0, help="share of the training pictures, for a trial run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and log")
    parser.add_argument("--resume", action="store_true", help="go on after the last epoch in OUT, if any")
    options = parser.parse_args()
    out = options.out.resolve()
    began = time.monotonic()
    last = out / "weights" / "last.pt"
    goes_on = options.resume and last.is_file()
    model = ultralytics.YOLO(last if goes_on else f"{options.model}.yaml", task="detect")
    model.train(
        resume=goes_on,
        data=str(options.data.resolve()),
        epochs=options.epochs,
        imgsz=options.size,
        batch=options.batch,
        workers=options.workers,
        fraction=options.fraction,
        seed=options.seed,
        device="cpu",
        pretrained=False,
        plots=False,  # plots ask for a font from the net
        project=str(out.parent),
        name=out.name,
        exist_ok=True,
    )
    facts = {
        "tool": f"ultralytics {ultralytics.__version__}, torch {torch.__version__}",
        "command": sys.argv,
        "threads": torch.get_num_threads(),  # their tool sets it
        "seconds": round(time.monotonic() - began),  # of this call
    }
    (out / "training.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{out / 'weights' / 'best.pt'}: {options.epochs} epochs in {facts['seconds']} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
