"""The judgement of a detector as one HTML page: no scripts, no outside requests, light and dark, phone and paper."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

from shelfvision.data.text_file import write_whole
from shelfvision.learn.detection_labels import Judged
from shelfvision.learn.detection_metrics import Judgement
from shelfvision.learn.detection_score import DetectionScore
from shelfvision.learn.report_figures import calibration, class_curves, counts, precision_recall, thresholds
from shelfvision.learn.report_pictures import figure, worst_first

_MOST_CONFUSED = 40  # classes up to which the whole table of confusions is shown
_MOST_LISTED = 12
_REASONS = {
    "missed": "missed",
    "background": "nothing there",
    "class": "wrong class",
    "duplicate": "found twice",
    "place": "badly placed",
}


def write_report(path: Path, judgement: Judgement, judged: Judged, *, title: str, worst: int = 12) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        judgement: of ``judged``.
        judged: dataset and detections that were compared.
        title: the detector's name.
        worst: pictures that are drawn, those with the most errors.

    Raises:
        DataError: the file cannot be written.
    """
    write_whole(path, page(judgement, judged, title=title, worst=worst))


def page(judgement: Judgement, judged: Judged, *, title: str, worst: int = 12) -> str:
    """The whole page; see ``write_report``."""
    score = judgement.score
    style = files("shelfvision.learn").joinpath("report.css").read_text(encoding="utf-8")
    sections = [
        _summary(score, judged, title),
        _section("curves", "Precision and recall", _charts(precision_recall(judgement), thresholds(judgement))),
        _section("classes", "Classes and sizes", _class_table(score) + class_curves(judgement)),
        _section("errors", "What goes wrong", _errors(score) + _confusion(score)),
        _section(
            "trust", "Counts and scores", _charts(counts(judgement, judged.dataset), calibration(score.calibration))
        ),
        _section("pictures", "The worst pictures", _pictures(judgement, judged, worst)),
    ]
    links = "".join(
        f'<a href="#{name}">{words}</a>'
        for name, words in [
            ("curves", "Curves"),
            ("classes", "Classes"),
            ("errors", "Errors"),
            ("trust", "Counts, scores"),
            ("pictures", "Pictures"),
        ]
    )
    # the policy has the browser refuse whatever would leave this file
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><title>{escape(title)}: detection report</title><style>{style}</style></head><body>'
        f'<a class="skip" href="#curves">Skip to the curves</a><nav aria-label="Sections">{links}</nav><main>'
        f"{''.join(sections)}</main></body></html>\n"
    )


def _section(name: str, heading: str, body: str) -> str:
    return f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{heading}</h2>{body}</section>'


def _charts(*charts: str) -> str:
    return f'<div class="charts">{"".join(charts)}</div>'


def _summary(score: DetectionScore, judged: Judged, title: str) -> str:
    point = score.operating
    tiles = [
        ("mAP50-95", _share(score.map50_95), "mean over overlaps and classes", True),
        ("mAP50", _share(score.map50), "at overlap 0.5", False),
        ("mAP75", _share(score.map75), "at overlap 0.75", False),
        ("AR 300", _share(score.ar300), "recall with 300 boxes a picture", False),
        ("AR 1000", _share(score.ar1000), "with 1,000 boxes", False),
        ("best F1" if score.threshold_chosen else "F1", _share(point.f1), f"at score {point.threshold:.2f}", False),
        ("count error", f"{score.count.mean_absolute:.2f}", _relative(score), False),
        ("calibration", _share(score.calibration.error), "error of scores as chances", False),
    ]
    shown = "".join(
        f'<div class="tile{" first" if first else ""}"><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>'
        for name, value, note, first in tiles
    )
    counted = f"every detection counted ({score.found:,}, limit {score.box_limit:,} a class and picture)"
    boxes = f"{score.boxes:,} labelled boxes, at most {score.densest} in one picture"
    facts = [f"{score.pictures:,} pictures, {boxes}; {counted}."]
    if score.ignored:
        facts.append(f"What lies in {score.ignored:,} ignore regions does not count.")
    if judged.not_judged:
        facts.append(f"Not judged, for the data does not label them: {_listed(judged.not_judged)}.")
    if judged.left_out:
        facts.append(f"Left out as asked: {_listed(judged.left_out)}.")
    chosen = "the best one for these very pictures" if score.threshold_chosen else "as given"
    facts.append(
        f"At score {point.threshold:.3f} ({chosen}): precision {_share(point.precision)}, recall "
        f"{_share(point.recall)}, {point.right:,} boxes right, {point.false:,} false, {point.missed:,} missed."
    )
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"<header><p class='kind'>Detection report</p><h1>{escape(title)}</h1>"
        f"<p class='kind'>on {escape(str(judged.dataset.source))}, {made}</p></header>"
        f'<dl class="tiles">{shown}</dl><p>{escape(" ".join(facts))}</p>'
    )


def _relative(score: DetectionScore) -> str:
    if score.count.mean_relative is None:
        return "boxes a picture"
    return f"boxes a picture, {score.count.mean_relative:.0%} of what is there"


def _class_table(score: DetectionScore) -> str:
    sizes = [name for name, part in score.sizes.items() if part.boxes]
    heads = ["class", "boxes", "mAP50-95", "mAP50", "mAP75", "AR 300", "AR 1000"]
    heads += [*sizes, "best F1", "at score", "precision", "recall", "count error"]
    rows = []
    for part in score.classes:
        best = part.best
        values = [part.ap50_95, part.ap50, part.ap75, part.ar300, part.ar1000]
        values += [part.sizes[size].map50_95 for size in sizes]
        values += [best.f1, best.threshold, best.precision, best.recall] if best else [None] * 4
        rows.append(_row(part.name, part.boxes, values, part.count.mean_absolute))
    point = score.operating
    values = [score.map50_95, score.map50, score.map75, score.ar300, score.ar1000]
    values += [score.sizes[size].map50_95 for size in sizes]
    values += [point.f1, point.threshold, point.precision, point.recall]
    foot = _row("all", score.boxes, values, score.count.mean_absolute)
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        '<div class="scroll" role="region" aria-label="Scores by class" tabindex="0"><table class="scores">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody><tfoot>{foot}</tfoot></table></div>"
        '<p class="hint">Small, medium and large: mAP50-95 of such boxes; small ones have less than 32 x 32 pixels of '
        "the picture, large ones more than 96 x 96. Count error: mean difference of found and true boxes a picture.</p>"
    )


def _row(name: str, boxes: int, values: Sequence[float | None], count: float) -> str:
    cells = "".join(f"<td>{_share(value)}</td>" for value in values)
    return f'<tr><th scope="row">{escape(name)}</th><td>{boxes:,}</td>{cells}<td>{count:.2f}</td></tr>'


def _errors(score: DetectionScore) -> str:
    if not any(score.errors.values()):
        return "<p>Nothing: every box is found, and nothing else.</p>"
    most = max(score.errors.values())
    rows = "".join(
        f'<tr><th scope="row">{"" if name == "missed" else "false: "}{_REASONS[name]}</th><td class="bar">'
        f'<span class="{"missed" if name == "missed" else "false"}" style="width:{100 * count / most:.1f}%"></span>'
        f"</td><td>{count:,}</td></tr>"
        for name, count in score.errors.items()
    )
    return f'<table class="errors"><tbody>{rows}</tbody></table>'


def _confusion(score: DetectionScore) -> str:
    names = [part.name for part in score.classes]
    table = np.array(score.confusion)
    if len(names) < 2:
        return ""
    inner = table[:-1, :-1].copy()
    np.fill_diagonal(inner, 0)
    order = np.argsort(-inner, axis=None, kind="stable")[:_MOST_LISTED]
    pairs = [(int(at // len(names)), int(at % len(names))) for at in order if inner.flat[at]]
    listed = "".join(
        f"<li><b>{escape(names[true])}</b> taken for <b>{escape(names[taken])}</b>: {int(inner[true, taken]):,} "
        f"of {int(table[true].sum()):,}</li>"
        for true, taken in pairs
    )
    words = f'<h3>Most often confused</h3><ol class="pairs">{listed}</ol>' if listed else "<p>No class is confused.</p>"
    if len(names) > _MOST_CONFUSED:
        return words
    heads = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in [*names, "missed"])
    rows = []
    for at, name in enumerate([*names, "nothing there"]):
        total = max(int(table[at].sum()), 1)
        cells = []
        for column, value in enumerate(table[at].tolist()):
            kind = "hit" if at == column < len(names) else "miss"
            cells.append(
                f'<td class="{kind}" style="--share:{value / total:.3f}">{value:,}</td>' if value else "<td></td>"
            )
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    return (
        f"{words}<h3>Confusion at overlap 0.5 and score {score.operating.threshold:.2f}</h3>"
        '<p class="hint">Rows: what it is. Columns: what it was found as.</p>'
        '<div class="scroll" role="region" aria-label="Confusion table" tabindex="0"><table class="confusion">'
        f"<thead><tr><td></td>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _pictures(judgement: Judgement, judged: Judged, most: int) -> str:
    dataset, found, outcomes = judged.dataset, judged.found, judgement.outcomes
    chosen = worst_first(dataset, outcomes, most)
    if not chosen:
        return "<p>No picture has an error.</p>" if most else "<p>None were asked for.</p>"
    legend = (
        '<p class="legend"><span class="right">found</span><span class="missed">missed</span>'
        '<span class="false">false, with its score</span><span class="ignored">does not count</span></p>'
        '<p class="hint">Rest on a box to read what it is. Most errors first.</p>'
    )
    figures = "".join(
        figure(f"picture-{place}", dataset.pictures[at], found[at], outcomes[at], dataset.labels)
        for place, at in enumerate(chosen)
    )
    return f'{legend}<div class="pictures">{figures}</div>'


def _listed(counted: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counted.items())


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
