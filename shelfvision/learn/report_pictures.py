"""Pictures with what was found, missed and false drawn on them, for the report."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from shelfvision.core.detections import Detections
from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.data.images import read_image
from shelfvision.errors import DataError
from shelfvision.learn.detection_outcome import Outcome, Reason

_LONGEST = 1000  # pixels of the embedded picture's longer side
_QUALITY = 80
_MOST_NAMED = 30  # errors of one picture that get words beside the box; more would hide the picture

IN_WORDS = {
    Reason.BACKGROUND: "nothing there",
    Reason.CLASS: "wrong class",
    Reason.DUPLICATE: "found twice",
    Reason.PLACE: "badly placed",
}


def worst_first(dataset: Dataset, outcomes: Sequence[Outcome], most: int) -> list[int]:
    """Indices of the pictures with the most errors; of equal ones the lower F1, then the path, comes first."""
    wrong = [index for index, result in enumerate(outcomes) if result.errors]
    return sorted(
        wrong, key=lambda index: (-outcomes[index].errors, outcomes[index].f1, str(dataset.pictures[index].path))
    )[:most]


def figure(name: str, picture: LabelledPicture, found: Detections, result: Outcome, labels: Sequence[str]) -> str:
    """One picture as an HTML figure; a picture that cannot be read says so in its place."""
    reasons = Counter(IN_WORDS[reason] for reason in result.reason if reason)
    why = ", ".join(f"{count} {words}" for words, count in reasons.most_common())
    said = f"{int(result.right.sum())} right, {int(result.missed.sum())} missed, {int(result.false.sum())} false"
    said += f" ({why})" if why else ""
    larger = f'<a class="larger" href="#{name}" aria-label="enlarge {escape(picture.path.name)}">enlarge</a>'
    larger += '<a class="smaller" href="#pictures">back</a>'
    caption = f"<figcaption><b>{escape(picture.path.name)}</b> {escape(said)}. {larger}</figcaption>"
    try:
        image = _embedded(picture)
    except DataError as error:
        return f'<figure id="{name}"><p class="gone">{escape(str(error))}</p>{caption}</figure>'
    width, height = picture.size
    drawn = "".join(_boxes(picture, found, result, labels))
    return (
        f'<figure id="{name}"><svg class="shot" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(picture.path.name)}: {escape(said)}">'
        f'<image href="{image}" width="{width}" height="{height}" preserveAspectRatio="none"/>{drawn}</svg>'
        f"{caption}</figure>"
    )


def _embedded(picture: LabelledPicture) -> str:
    image = read_image(picture.path)
    scale = min(1.0, _LONGEST / max(image.shape[:2]))
    if scale < 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise DataError(f"{picture.path}: cannot be drawn in the report")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _boxes(picture: LabelledPicture, found: Detections, result: Outcome, labels: Sequence[str]) -> list[str]:
    """Ignore regions, then right boxes, then errors on top."""
    named = result.errors <= _MOST_NAMED
    size = picture.size[0] / 32  # readable at the width of a column; the style sheet shrinks it when enlarged
    several = len(labels) > 1
    parts = [
        _rect(row, "ignored", "does not count") for row in np.unique(picture.xyxy[picture.ignore], axis=0).tolist()
    ]
    for index in np.flatnonzero(result.right):
        label = f"right: {labels[found.label[index]]} {found.score[index]:.2f}"
        parts.append(_rect(found.xyxy[index].tolist(), "right", label))
    for index in np.flatnonzero(result.missed):
        words = labels[picture.label[index]]
        parts.append(_rect(picture.xyxy[index].tolist(), "missed", f"missed: {words}"))
        if named and several:
            parts.append(_words(picture.xyxy[index].tolist(), words, "missed", size, below=True))
    for index in np.flatnonzero(result.false):
        reason = result.reason[index]
        words = f"{labels[found.label[index]]} {found.score[index]:.2f}"
        why = f" ({IN_WORDS[reason]})" if reason else ""
        parts.append(_rect(found.xyxy[index].tolist(), "false", f"false: {words}{why}"))
        if named:
            shown = words if several else f"{found.score[index]:.2f}"
            parts.append(_words(found.xyxy[index].tolist(), shown, "false", size, below=False))
    return parts


def _rect(xyxy: Sequence[float], style: str, label: str) -> str:
    x1, y1, x2, y2 = xyxy
    return (
        f'<rect class="{style}" x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}">'
        f"<title>{escape(label)}</title></rect>"
    )


def _words(xyxy: Sequence[float], words: str, style: str, size: float, *, below: bool) -> str:
    """Inside the box, at its lower or upper edge, so that they never leave the picture."""
    x, y = xyxy[0] + size * 0.25, xyxy[3] - size * 0.35 if below else max(xyxy[1], 0) + size
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" style="--letters:{size:.1f}px">{escape(words)}</text>'
