"""Whether an exported detector is as accurate on labelled pictures as the torch network that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from shelfvision.core.detection_rows import to_detections
from shelfvision.core.detections import Detections, FloatArray
from shelfvision.core.letterbox import Letterbox
from shelfvision.core.sidecar import INPUT_NAME, OUTPUT_COLUMNS
from shelfvision.data.dataset import Dataset
from shelfvision.data.images import read_image
from shelfvision.data.input_picture import as_batch, fit_picture, input_size
from shelfvision.errors import ModelError, UsageError
from shelfvision.learn.detection_labels import bring_together
from shelfvision.learn.detection_metrics import score
from shelfvision.learn.onnx_graph import Suppression
from shelfvision.learn.parity import session
from shelfvision.models.decode import decode
from shelfvision.models.detector import Detector

Look = Callable[[FloatArray], FloatArray]
"""(1, 3, h, w) to rows (m, 7) as the exported graph gives them."""
OnPicture = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """mAP over IoU 0.5 to 0.95 before and after export."""

    torch: float
    onnx: float
    pictures: int

    @property
    def drop(self) -> float:
        """How much was lost; negative when it gained."""
        return self.torch - self.onnx


def check_cap(dataset: Dataset, most: int) -> None:
    """Check that no picture holds more boxes of a class than the graph can give.

    Raises:
        UsageError: one does.
    """
    for picture in dataset:
        counts = np.bincount(picture.label[~picture.ignore], minlength=1)
        if counts.max() > most:
            raise UsageError(
                f"export refused: {picture.path} holds {counts.max()} boxes of one class, but the graph would give "
                f"{most} at most; give --most {counts.max()} or more"
            )


def find_with_torch(
    detector: Detector, dataset: Dataset, *, size: int, chosen: Suppression, on_picture: OnPicture = lambda _: None
) -> list[Detections]:
    """Boxes of every picture by the network.

    Args:
        detector: the torch network, in evaluation mode.
        dataset: the pictures.
        size: longer side of the input.
        chosen: thresholds.
        on_picture: called with the number of pictures done.

    Raises:
        DataError: a picture cannot be read.
    """
    return _find(lambda image: _torch_rows(detector, image, chosen), dataset, size, on_picture)


def find_with_graph(
    whole: bytes, dataset: Dataset, *, size: int, on_picture: OnPicture = lambda _: None
) -> list[Detections]:
    """Boxes of every picture by the exported graph, with suppression; see ``find_with_torch``."""
    graph = session(whole)
    return _find(lambda image: graph.run(None, {INPUT_NAME: image})[0], dataset, size, on_picture)


def compare(
    dataset: Dataset, labels: Sequence[str], before: Sequence[Detections], after: Sequence[Detections]
) -> Accuracy:
    """Score what torch and what the graph found against the truth.

    Args:
        dataset: the truth.
        labels: the detector's class names.
        before: what torch found in each picture.
        after: what the graph found.

    Raises:
        DataError: the classes do not fit.
        UsageError: the data has no boxes.
    """
    marks = []
    for found in (before, after):
        judged = bring_together(dataset, found, labels)
        marks.append(score(judged.dataset, judged.found).map50_95)
    if marks[0] is None or marks[1] is None:
        raise UsageError(f"{dataset.source}: has no boxes that accuracy could be measured on; give other --data")
    return Accuracy(float(marks[0]), float(marks[1]), len(dataset))


def judge(accuracy: Accuracy, most_drop: float) -> None:
    """Refuse an export that lost too much.

    Raises:
        ModelError: it did.
    """
    if accuracy.drop > most_drop:
        raise ModelError(
            f"export refused: mAP50-95 falls from {accuracy.torch:.4f} to {accuracy.onnx:.4f}, by {accuracy.drop:.4f}; "
            f"the bound is {most_drop:g} (--max-drop); without --int8 it may stay"
        )


def inputs(dataset: Dataset, size: int) -> Iterator[tuple[FloatArray, Letterbox]]:
    """Every picture as the network sees it, (1, 3, h, w), and how it was put there."""
    for picture in dataset:
        image = read_image(picture.path)
        shape = (image.shape[1], image.shape[0])
        fit = Letterbox(shape, input_size(shape, size))
        yield as_batch([fit_picture(image, fit)]), fit


def _torch_rows(detector: Detector, image: FloatArray, chosen: Suppression) -> FloatArray:
    with torch.no_grad():
        prediction = detector(torch.from_numpy(image))
    (found,) = decode(prediction, least_score=chosen.least_score, overlap=chosen.overlap, most=chosen.most)
    rows = np.zeros((len(found), OUTPUT_COLUMNS), np.float32)
    rows[:, 1:5], rows[:, 5], rows[:, 6] = found.xyxy, found.score, found.label
    return rows


def _find(look: Look, dataset: Dataset, size: int, on_picture: OnPicture) -> list[Detections]:
    found = []
    for number, (image, fit) in enumerate(inputs(dataset, size)):
        found.append(to_detections(look(image), fit, 0.0))
        on_picture(number + 1)
    return found
