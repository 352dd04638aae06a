"""The report is one valid file that asks the network for nothing and says what the score says."""

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfvision.errors import DataError
from shelfvision.learn.detection_labels import Judged
from shelfvision.learn.detection_metrics import judge
from shelfvision.learn.detection_report import page, write_report
from shelfvision.learn.report_charts import ticks
from shelfvision.learn.report_pictures import worst_first
from tests.learn.labelled import dataset, found, picture, random_case

BOX, FAR = (100, 100, 200, 200), (300, 300, 400, 400)
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Reader(HTMLParser):
    """Elements, whether all are closed in order, ids and references to them."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.references, self.links, self.text = [], [], [], [], []
        self.tags = {}

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.ids += [values["id"]] if "id" in values else []
        self.references += (values.get("aria-labelledby") or "").split()
        self.links += [values[key] for key in ("href", "src") if key in values]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    assert len(set(reader.ids)) == len(reader.ids)
    assert set(reader.references) <= set(reader.ids)
    for link in reader.links:
        assert link.startswith("data:image/") or link.removeprefix("#") in reader.ids
    return reader


def report(truth, answers, **options):
    return page(judge(truth, answers), Judged(truth, tuple(answers), {}, {}), title="model", **options)


def seen(reader):
    return " ".join(" ".join(reader.text).split())


@pytest.fixture
def shot(tmp_path):
    """A picture on the disk."""

    def write(name="shelf.jpg", size=(640, 480)):
        image = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
        cv2.imwrite(str(tmp_path / name), image)
        return tmp_path / name

    return write


def test_a_report_of_many_classes_is_whole_and_self_contained():
    truth, answers = random_case(1)
    html = report(truth, answers)
    reader = read(html)
    assert not re.search(r"https?://|@import|url\(|<script", html)
    assert "default-src 'none'" in html
    words = seen(reader)
    score = judge(truth, answers).score
    assert f"{score.map50_95:.3f}" in words
    assert f"{score.operating.missed:,} missed" in words
    assert "Most often confused" in words


def test_errors_are_drawn_on_the_picture(shot):
    path = shot()
    truth = dataset(picture(BOX, (*FAR, 1), (0, 0, 50, 50, 0, True), name=path))
    answers = [found((*BOX, 0.9, 1), (500, 10, 600, 90, 0.8, 0))]
    html = page(judge(truth, answers, threshold=0.5), Judged(truth, tuple(answers), {}, {}), title="model")
    reader = read(html)
    assert reader.tags["image"] == 1
    for words in (
        "missed: gap",
        "missed: product",
        "false: gap 0.90 (wrong class)",
        "false: product 0.80 (nothing there)",
    ):
        assert words in html
    assert html.count('<rect class="ignored"') == 1
    assert "0 right, 2 missed, 2 false" in seen(reader)


def test_a_picture_that_is_gone_says_so_and_the_rest_is_there():
    html = report(dataset(picture(BOX, name="no/such.jpg")), [found((*FAR, 0.9))])
    assert "no/such.jpg: no such picture" in seen(read(html))


def test_names_from_outside_are_words_not_markup(shot):
    path = shot("<b>&.jpg")
    truth = dataset(picture(BOX, name=path), labels=("<script>alert(1)</script>", 'a"b'))
    html = report(truth, [found((*FAR, 0.9, 1))])
    read(html)
    assert "<script>" not in html
    assert "<b>&.jpg" not in html


@pytest.mark.parametrize(
    ("truth", "answers"),
    [
        (dataset(picture()), [found()]),
        (dataset(picture(BOX)), [found()]),
        (dataset(picture()), [found((*BOX, 0.9))]),
        (dataset(picture(BOX), labels=("product",)), [found((*BOX, 0.05))]),
        (dataset(picture(BOX)), [found((*BOX, 1.0))]),
    ],
)
def test_a_report_can_be_made_of_nothing_or_of_perfection(truth, answers):
    assert "Precision and recall" in seen(read(report(truth, answers)))


def test_a_hundred_classes_fit():
    """No table of ten thousand confusions; the most frequent ones are listed."""
    labels = tuple(f"class {index}" for index in range(100))
    truth = dataset(*(picture((*BOX, index), name=f"{index}.jpg") for index in range(100)), labels=labels)
    reader = read(report(truth, [found((*BOX, 0.9, (index + 1) % 100)) for index in range(100)], worst=0))
    words = seen(reader)
    assert "Confusion at overlap" not in words
    assert "class 0 taken for class 1" in words
    assert "The worst 60 of 100." in words


def test_the_worst_pictures_come_first():
    truth = dataset(*(picture(BOX, FAR, name=name) for name in ("a.jpg", "b.jpg", "c.jpg")))
    answers = [found((*BOX, 0.9)), found((*BOX, 0.9), (*FAR, 0.9)), found()]
    judgement = judge(truth, answers)
    assert worst_first(truth, judgement.outcomes, 5) == [2, 0]
    assert worst_first(truth, judgement.outcomes, 1) == [2]


def test_what_was_not_judged_is_said():
    truth, answers = dataset(picture(BOX)), [found((*BOX, 0.9))]
    judged = Judged(truth, tuple(answers), {"hand": 3}, {"price tag": 2})
    words = seen(read(page(judge(truth, answers), judged, title="model")))
    assert "does not label them: 3 hand" in words
    assert "Left out as asked: 2 price tag" in words


def test_a_report_that_cannot_be_written_is_one_clear_error(tmp_path):
    truth, answers = dataset(picture(BOX)), [found((*BOX, 0.9))]
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_report(
            tmp_path / "file" / "report.html",
            judge(truth, answers),
            Judged(truth, tuple(answers), {}, {}),
            title="model",
        )


@pytest.mark.parametrize(
    ("span", "expected"),
    [((0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]), ((0, 14.7), [0, 5, 10]), ((0, 700), [0, 200, 400, 600])],
)
def test_axes_have_round_values(span, expected):
    assert list(ticks(*span)) == pytest.approx(expected)


def test_the_style_sheet_is_part_of_the_package():
    assert (Path(__file__).parents[2] / "shelfvision/learn/report.css").is_file()
