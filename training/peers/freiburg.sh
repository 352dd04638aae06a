#!/bin/sh
# Trains a peer on the freiburg split with its own tool and judges it by our code:
#   PEER_PYTHON=.../bin/python training/peers/freiburg.sh yolo11n 20 [--batch 32 ...]
# SHELFVISION_DATA: folder of the data; OUT: folder for results. --fraction 0.02 makes a trial run of it.
set -eu

model=$1
epochs=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
: "${PEER_PYTHON:?the Python that ultralytics is installed in, see training/peers/README.md}"
data=${SHELFVISION_DATA:-$here/../../../shared/data}
out=${OUT:-$here/../../var/peers}
run=$out/$model-$epochs
mkdir -p "$out"

if [ ! -f "$out/split/yolo/data.yaml" ]; then
    python "$here/../../datasets/freiburg_boxes/prepare.py" "$data/freiburg_boxes" --out "$out/split/coco"
    shelfvision data convert "$out/split/coco" --to yolo --out "$out/split/yolo" --force
fi
"$PEER_PYTHON" "$here/train_peer.py" "$model" --data "$out/split/yolo/data.yaml" --epochs "$epochs" --out "$run" "$@"
"$PEER_PYTHON" "$here/detect_peer.py" "$run/weights/best.pt" "$out/split/yolo/images/val" --out "$run/detections.json"
judge="shelfvision evaluate detector $out/split/coco/annotations/instances_val.json --detections $run/detections.json"
$judge --json > "$run/score.json"
$judge --report "$run/report.html" | tee "$run/score.txt"
