"""Whether an exported detector says the same as the torch network that it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from shelfvision.core.boxes import iou
from shelfvision.core.detections import Detections, FloatArray
from shelfvision.core.sidecar import INPUT_NAME
from shelfvision.data.images import Image
from shelfvision.data.input_picture import as_batch
from shelfvision.errors import ModelError
from shelfvision.learn.onnx_graph import BOXES, SCORES, Suppression
from shelfvision.models.detector import Detector, Prediction

LEAST_IOU = 0.99
MOST_SCORE_DIFFERENCE = 1e-3
LEAST_RIGHT = 0.9999  # of the boxes that suppression keeps or drops
_SLACK = 1e-3  # of IoU and score: two boxes within rounding of each other may win in either order
_SIDES = (96, 128, 160, 224, 320)


@dataclass(frozen=True, slots=True)
class Parity:
    """How far two versions of a network are apart."""

    pictures: int
    sizes: int  # different input sizes among them
    worst_iou: float  # of the boxes at any point, also where nothing is found
    worst_score: float  # largest difference of a score
    boxes: int  # that suppression leaves
    right: float  # share of all boxes above the least score that it rightly keeps or drops
    batch_worst: float  # largest difference between a batch and its pictures one by one

    def to_json(self) -> dict[str, float]:
        """JSON values, rounded."""
        return {key: round(value, 6) for key, value in asdict(self).items()}


def session(data: bytes) -> onnxruntime.InferenceSession:
    """A graph in memory on ONNX Runtime, on as many threads as torch takes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def check_parity(
    detector: Detector, network: bytes, whole: bytes, pictures: Sequence[Image], chosen: Suppression
) -> Parity:
    """Compare torch with the exported graphs on pictures that have the network's input sizes.

    Args:
        detector: the torch network, in evaluation mode.
        network: the graph without suppression.
        whole: the graph with it.
        pictures: (h, w, 3) BGR, h and w multiples of 32.
        chosen: the graph's thresholds.

    Raises:
        ModelError: the outputs differ by more than ``LEAST_IOU``, ``MOST_SCORE_DIFFERENCE`` or ``LEAST_RIGHT``, or a
            batch is not its pictures one by one.
    """
    bare, ends = session(network), session(whole)
    worst_iou, worst_score, boxes, above, right = 1.0, 0.0, 0, 0, 0
    for picture in pictures:
        images = as_batch([picture])
        prediction = _torch(detector, images)
        true_boxes, true_scores = prediction.boxes[0].numpy(), prediction.logits[0].sigmoid().numpy()
        own_boxes, own_scores = (part[0] for part in bare.run([BOXES, SCORES], {INPUT_NAME: images}))
        worst_score = max(worst_score, float(np.abs(true_scores - own_scores).max()))
        worst_iou = min(worst_iou, float(_pair_iou(true_boxes, own_boxes).min()))
        found = _detections(ends.run(None, {INPUT_NAME: images})[0])
        boxes += len(found)
        above += int((own_scores >= chosen.least_score).sum())
        right += _rightly_suppressed(own_boxes, own_scores, found, chosen)
    batch_worst = _check_batches(bare, pictures)
    parity = Parity(
        pictures=len(pictures),
        sizes=len({picture.shape for picture in pictures}),
        worst_iou=worst_iou,
        worst_score=worst_score,
        boxes=boxes,
        right=right / above if above else 1.0,
        batch_worst=batch_worst,
    )
    _judge(parity)
    return parity


def _judge(parity: Parity) -> None:
    for what, value, bound, good in (
        ("boxes overlap by", parity.worst_iou, LEAST_IOU, parity.worst_iou >= LEAST_IOU),
        ("scores differ by", parity.worst_score, MOST_SCORE_DIFFERENCE, parity.worst_score <= MOST_SCORE_DIFFERENCE),
        ("boxes rightly suppressed are", parity.right, LEAST_RIGHT, parity.right >= LEAST_RIGHT),
        ("a batch differs from its pictures by", parity.batch_worst, 1e-3, parity.batch_worst <= 1e-3),
    ):
        if not good:
            raise ModelError(
                f"export refused: torch and ONNX disagree: {what} {value:.4g}, the bound is {bound:g}; "
                "report it with the checkpoint's configuration"
            )


def sample_pictures(count: int, seed: int = 0, pictures: Sequence[Image] = ()) -> Iterator[Image]:
    """Pictures of several input sizes: cuts of real ones when there are some, else drawn boxes on noise."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        height, width = (int(side) for side in rng.choice(_SIDES, 2))
        if pictures:
            image = pictures[index % len(pictures)]
            yield np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            continue
        image = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
        for _ in range(int(rng.integers(3, 30))):
            x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
            corner = (x + int(rng.integers(8, width)), y + int(rng.integers(8, height)))
            cv2.rectangle(image, (x, y), corner, tuple(map(int, rng.integers(0, 256, 3))), -1)
        noise = rng.integers(-20, 21, image.shape)
        yield np.clip(image + noise, 0, 255).astype(np.uint8)


def _check_batches(bare: onnxruntime.InferenceSession, pictures: Sequence[Image]) -> float:
    """Largest difference of any output between pictures in one batch and one by one; pixels are taken in strides."""
    shapes: dict[tuple[int, ...], list[Image]] = {}
    for picture in pictures:
        shapes.setdefault(picture.shape, []).append(picture)
    worst = 0.0
    for alike in shapes.values():
        if len(alike) < 2:
            alike = [alike[0], alike[0][::-1]]  # noqa: PLW2901 - a batch needs two
        together = bare.run([BOXES, SCORES], {INPUT_NAME: as_batch(alike)})
        for index, picture in enumerate(alike):
            single = bare.run([BOXES, SCORES], {INPUT_NAME: as_batch([picture])})
            sides = np.maximum(single[0][0][:, 2:] - single[0][0][:, :2], 8.0).max(axis=1, keepdims=True)
            worst = max(worst, float((np.abs(together[0][index] - single[0][0]) / sides).max()))
            worst = max(worst, float(np.abs(together[1][index] - single[1][0]).max()))
    return worst


def _torch(detector: Detector, images: FloatArray) -> Prediction:
    with torch.no_grad():
        prediction: Prediction = detector(torch.from_numpy(images))
    return prediction


def _detections(rows: FloatArray) -> Detections:
    return Detections(rows[:, 1:5], rows[:, 5], rows[:, 6].astype(np.int64))


def _rightly_suppressed(boxes: FloatArray, scores: FloatArray, found: Detections, chosen: Suppression) -> int:
    """How many of a picture's boxes are rightly kept or dropped.

    A kept box has a box and score of the network and overlaps no other kept one of its class too much; a dropped one
    overlaps a kept one that is no weaker, or there are ``most`` of these. This holds whichever of equals wins.

    Args:
        boxes: (n, 4) of the network.
        scores: (n, c) likewise.
        found: what the graph keeps of them.
        chosen: its thresholds.
    """
    right = 0
    for label in range(scores.shape[1]):
        kept = found[found.label == label]
        above = np.flatnonzero(scores[:, label] >= chosen.least_score)
        overlap = iou(boxes[above], kept.xyxy)
        apart = np.abs(scores[above, label][:, None] - kept.score[None])
        dropped_for = (overlap >= chosen.overlap[label] - _SLACK) & (
            scores[above, label][:, None] <= kept.score[None] + _SLACK
        )
        same = (overlap >= LEAST_IOU) & (apart <= MOST_SCORE_DIFFERENCE)
        mutual = iou(kept.xyxy, kept.xyxy)
        np.fill_diagonal(mutual, 0)
        proper = (mutual <= chosen.overlap[label] + _SLACK).all(axis=1) & same.any(axis=0)
        full = len(kept) >= chosen.most
        if len(kept) and proper.all():
            right += len(above) if full else int((dropped_for | same).any(axis=1).sum())
    return right


def _pair_iou(first: FloatArray, second: FloatArray) -> NDArray[np.float64]:
    """(n,) IoU of boxes of the same row."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    shared = sides.prod(axis=1)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared
    return np.asarray(np.divide(shared, union, out=np.ones_like(shared), where=union > 0))
