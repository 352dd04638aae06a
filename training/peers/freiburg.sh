#!/bin/sh
# Trains a peer on the freiburg split with its own tool and judges it by our code:
#   PEER_PYTHON=.../bin/python training/peers/freiburg.sh yolo11n 20 [--batch 32 ...]
# SHELFVISION_DATA: folder of the data; OUT: folder for results; FEW: pictures of each part, for a trial run.
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

[ -f "$out/split/yolo/data.yaml" ] || python "$here/split_freiburg.py" "$data/freiburg_boxes" --out "$out/split" --few "${FEW:-0}"
"$PEER_PYTHON" "$here/train_peer.py" "$model" --data "$out/split/yolo/data.yaml" --epochs "$epochs" --out "$run" "$@"
"$PEER_PYTHON" "$here/detect_peer.py" "$run/weights/best.pt" "$out/split/yolo/images/val" --out "$run/detections.json"
judge="shelfvision evaluate detector $out/split/coco/annotations/instances_val.json --detections $run/detections.json"
$judge --json --least-score 0 > "$run/score.json"
$judge --least-score 0 --report "$run/report.html" | tee "$run/score.txt"
