"""The report's charts: curves, counts and calibration of one judgement."""

from __future__ import annotations

from collections import Counter
from html import escape

import numpy as np

from shelfvision.data.dataset import Dataset
from shelfvision.learn.calibration import Calibration
from shelfvision.learn.detection_coco import RECALLS
from shelfvision.learn.detection_metrics import Judgement
from shelfvision.learn.report_charts import Chart, Point, sparkline

_MOST_CURVES = 60  # small charts; of more classes the worst are shown
_DRAWN_OVERLAPS = {0.5: "mean", 0.75: "mean second", 0.9: "mean third"}


def precision_recall(judgement: Judgement) -> str:
    """Mean curves at three overlaps, thin ones of every class at 0.5 behind them."""
    score, table = judgement.score, judgement.table
    if score.map50 is None:
        return _figure("", "There is no labelled box, so precision and recall are not defined.")
    chart = Chart(
        "pr",
        "Precision over recall",
        f"Mean of all classes. Area under the curve: {score.map50:.3f} at overlap 0.5, {score.map75 or 0:.3f} at 0.75.",
        "recall",
        "precision",
    )
    if len(score.classes) > 1:
        for label, part in enumerate(score.classes):
            if (curve := table.curve(0.5, label)) is not None:
                chart.line(_points(curve), "thin", label=f"{part.name}: {part.ap50 or 0:.3f}")
    legend = []
    for overlap, style in _DRAWN_OVERLAPS.items():
        curve = table.curve(overlap)
        if curve is not None:
            chart.line(_points(curve), style, label=f"overlap {overlap}: {curve.mean():.3f}")
            legend.append(f'<span class="{style}">overlap {overlap}: {curve.mean():.3f}</span>')
    thin = '<span class="thin">each class at 0.5</span>' if len(score.classes) > 1 else ""
    return _figure(chart.svg(), f'<span class="legend">{"".join(legend)}{thin}</span>')


def thresholds(judgement: Judgement) -> str:
    """Precision, recall and F1 of all classes together, over the threshold."""
    together, score = judgement.together, judgement.score
    if not together.true or not len(together.score):
        return _figure("", "There is nothing to set a threshold for.")
    steps = np.linspace(0, 1, 101)
    right = np.concatenate([[0], np.cumsum(together.right)])
    taken = np.searchsorted(-together.score, -steps.astype(np.float32), side="right")
    precision = np.where(taken > 0, right[taken] / np.maximum(taken, 1), np.nan)
    recall = right[taken] / together.true
    f1 = 2 * right[taken] / (taken + together.true)
    point = score.operating
    chart = Chart(
        "threshold",
        "Precision, recall and F1 over the threshold",
        f"At score {point.threshold:.3f}: precision {point.precision or 0:.3f}, recall {point.recall or 0:.3f}.",
        "least score that is acted on",
        "share",
    )
    chart.line([(point.threshold, 0), (point.threshold, 1)], "marker", label=f"threshold {point.threshold:.3f}")
    for values, style in ((precision, "mean second"), (recall, "mean third"), (f1, "mean")):
        known = ~np.isnan(values)
        chart.line(list(zip(steps[known].tolist(), values[known].tolist(), strict=True)), style)
    legend = (
        '<span class="mean">F1</span><span class="mean second">precision</span><span class="mean third">recall</span>'
    )
    return _figure(chart.svg(), f'<span class="legend">{legend}<span class="marker">threshold</span></span>')


def class_curves(judgement: Judgement) -> str:
    """A small precision-recall chart of each class at overlap 0.5, with its best F1 marked."""
    score, table = judgement.score, judgement.table
    if len(score.classes) < 2:
        return ""
    known = [label for label, part in enumerate(score.classes) if part.ap50 is not None]
    shown = sorted(known, key=lambda label: score.classes[label].ap50 or 0)[:_MOST_CURVES]
    parts = []
    for label in shown:
        part, curve = score.classes[label], table.curve(0.5, label)
        best = part.best
        mark = None if best is None else (best.recall or 0.0, best.precision or 0.0)
        title = f"{part.name}: precision over recall, average precision {part.ap50 or 0:.3f} at overlap 0.5"
        drawn = sparkline(f"class-{label}", title, [] if curve is None else _points(curve), mark)
        parts.append(f"<li>{drawn}<b>{escape(part.name)}</b> {part.ap50 or 0:.3f}</li>")
    more = f" The worst {len(shown)} of {len(known)}." if len(shown) < len(known) else ""
    return (
        f'<h3>Precision over recall at overlap 0.5</h3><p class="hint">Worst first; the dot is the best F1.{more}</p>'
        f'<ul class="small">{"".join(parts)}</ul>'
    )


def counts(judgement: Judgement, dataset: Dataset) -> str:
    """Boxes found over true boxes, one dot for all pictures of equal counts."""
    pairs: Counter[tuple[int, int]] = Counter()
    for picture, result in zip(dataset, judgement.outcomes, strict=True):
        found = int(result.right.sum() + result.false.sum())
        pairs[int((~picture.ignore).sum()), found] += 1
    top = max(1, *(max(pair) for pair in pairs)) * 1.05
    error = judgement.score.count
    chart = Chart(
        "counts",
        "Boxes found over true boxes",
        f"Mean difference {error.mean_absolute:.2f} boxes a picture, on average {error.bias:+.2f}.",
        "true boxes in a picture",
        "boxes found",
        (0, top),
        (0, top),
    )
    chart.line([(0, 0), (top, top)], "ideal")
    fullest = max(pairs.values())
    for (true, found), pictures in sorted(pairs.items(), key=lambda item: -item[1]):
        radius = 3 + 9 * ((pictures - 1) / max(fullest, 25)) ** 0.5
        chart.dot((true, found), "bubble", radius=radius, label=f"{pictures} pictures: {true} true, {found} found")
    off = f"{error.mean_absolute:.2f} boxes off, on average {error.bias:+.2f}"
    return _figure(chart.svg(), f"On the line every box is counted. A picture is {off}.")


def calibration(result: Calibration) -> str:
    """Precision over score; bars on the line mean that a score of 0.8 is right eight times in ten."""
    if result.error is None:
        return _figure("", f"No detection has a score of {result.floor:g} or more.")
    chart = Chart(
        "calibration",
        "Precision over score",
        f"Expected calibration error {result.error:.3f}.",
        "score",
        "share that is right",
    )
    rows = []
    for part in result.bins:
        if part.precision is None or part.mean_score is None:
            continue
        label = f"scores {part.low:.1f} to {part.high:.1f}: {part.precision:.2f} right of {part.count:,}"
        chart.bar(part.low, part.high, part.precision, "bin", label=label)
        chart.dot((part.mean_score, part.precision), "mark", label=label)
        rows.append(
            f'<tr><th scope="row">{part.low:.1f} to {part.high:.1f}</th><td>{part.count:,}</td>'
            f"<td>{part.mean_score:.3f}</td><td>{part.precision:.3f}</td></tr>"
        )
    chart.line([(0, 0), (1, 1)], "ideal")
    table = (
        '<details><summary>As a table</summary><table class="scores"><thead><tr><th scope="col">score</th>'
        '<th scope="col">detections</th><th scope="col">mean score</th><th scope="col">precision</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></details>"
    )
    words = (
        f"Bars below the line: scores promise too much. Expected calibration error {result.error:.3f}, of detections "
    )
    return _figure(chart.svg(), f"{words}with a score of at least {result.floor:g}.{table}")


def _figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"


def _points(curve: np.ndarray) -> list[Point]:
    return list(zip(RECALLS.tolist(), curve.tolist(), strict=True))
