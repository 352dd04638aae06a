"""The detector on pictures of any size: boxes come back in the picture's own pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shelfvision.core.detections import Detections
from shelfvision.edge import default_models
from shelfvision.edge.default_models import default_model
from shelfvision.edge.detector import OnnxDetector, Tiling, open_detector
from shelfvision.errors import ModelError
from tests.edge.marker_model import paint, painted_box, write_model


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


def test_a_picture_of_the_inputs_size_is_not_resampled(path):
    detector = open_detector(path, runtime="onnxruntime", threads=1)
    found = detector.detect(paint((256, 192), (4, 5, 30, 40, 0.8), (20, 10, 21, 16, 0.5)))
    assert detector.labels == ("product", "gap")
    assert found.xyxy.tolist() == [painted_box(4, 5, 30, 40), painted_box(20, 10, 21, 16)]
    assert found.label.tolist() == [0, 1]
    np.testing.assert_allclose(found.score, [0.8, 0.502], atol=1e-3)


def test_boxes_of_a_larger_picture_are_in_its_pixels(path):
    """Every pixel doubled: averaging brings the markers back."""
    large = np.repeat(np.repeat(paint((256, 192), (4, 5, 30, 40, 0.8)), 2, axis=0), 2, axis=1)
    found = open_detector(path, runtime="onnxruntime", threads=1).detect(large)
    assert found.xyxy.tolist() == [[2 * side for side in painted_box(4, 5, 30, 40)]]


def test_boxes_are_cut_at_the_border_and_those_in_the_padding_are_left_out(path):
    detector = open_detector(path, runtime="onnxruntime", threads=1, least_score=0.5)
    found = detector.detect(paint((256, 168), (0, 0, 60, 40, 0.9)))  # 168 is padded to 192
    assert found.xyxy.tolist() == [[0, 0, 34, 24]]
    grey = detector.detect(np.full((168, 256, 3), 114, np.uint8))
    assert (grey.xyxy[:, 3] <= 168).all()


def test_a_batch_is_its_pictures_one_by_one(path):
    rng = np.random.default_rng(0)
    pictures = [
        paint(size, *((int(c), int(r), int(w), int(h), s) for c, r, w, h, s in zip(*cells, strict=True)))
        for size in [(256, 192), (192, 256), (256, 192), (256, 256), (192, 256)]
        for cells in [
            (
                rng.integers(0, 24, 12),
                rng.integers(0, 24, 12),
                rng.integers(4, 60, 12),
                rng.integers(4, 60, 12),
                rng.uniform(0.2, 1, 12),
            )
        ]
    ]
    detector = open_detector(path, runtime="onnxruntime", threads=1)
    for together, picture in zip(detector.detect_all(pictures), pictures, strict=True):
        alone = detector.detect(picture)
        assert len(alone) > 3
        np.testing.assert_array_equal(together.xyxy, alone.xyxy)
        np.testing.assert_array_equal(together.label, alone.label)


def test_a_picture_without_products_gives_no_boxes(path):
    detector = open_detector(path, runtime="onnxruntime", threads=1, size=480)
    assert detector.detect(np.zeros((320, 480, 3), np.uint8)).xyxy.shape == (0, 4)
    assert detector.detect_all([]) == []


def test_thin_pictures_pass(path):
    detector = open_detector(path, runtime="onnxruntime", threads=1, tiling=Tiling())
    for size in ((1, 1), (3000, 2), (2, 3000)):
        detector.detect(np.zeros((size[1], size[0], 3), np.uint8))


class Shelf:
    """Stands in for the network: finds painted rectangles by their colour, if they are large enough in its input."""

    def __init__(self, detector: OnnxDetector, monkeypatch, least: float) -> None:
        self.sides: list[int] = []  # the input's longer side of each look
        real = detector._look

        def look(images, side=None):
            real(images, side)  # the network runs all the same
            side = side or detector.size
            self.sides += [side] * len(images)
            return [self._find(image, side / max(image.shape[:2]), least) for image in images]

        monkeypatch.setattr(detector, "_look", look)

    @staticmethod
    def _find(image, scale, least):
        count, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 1] > 100).astype(np.uint8))
        boxes = [[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:count].tolist() if min(w, h) * scale >= least]
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(len(boxes), 0.9, np.float32),
            np.zeros(len(boxes), np.int64),
        )


def shelf_picture(width, height, step=70, side=40):
    picture = np.zeros((height, width, 3), np.uint8)
    boxes = [(x, y, x + side, y + side) for x in range(9, width - side, step) for y in range(9, height - side, step)]
    for x1, y1, x2, y2 in boxes:
        picture[y1:y2, x1:x2] = (0, 200, 0)
    return picture, boxes


@pytest.mark.parametrize("grid", [(2, 2), (3, 2), (5, 4)])
def test_a_shelf_in_tiles_gives_each_package_once(path, monkeypatch, grid):
    detector = open_detector(path, runtime="onnxruntime", threads=1, tiling=Tiling(grid))
    shelf = Shelf(detector, monkeypatch, least=4)
    picture, boxes = shelf_picture(1280, 960)
    found = detector.detect(picture)
    assert sorted(map(tuple, found.xyxy.astype(int).tolist())) == sorted(boxes)
    assert shelf.sides == [256] * (grid[0] * grid[1] + 1), "each tile once, and the whole"


@pytest.mark.parametrize(
    ("size", "side", "sides"),
    [
        ((256, 192), 8, [256]),  # small, but the picture has no more pixels
        ((1280, 960), 300, [256]),  # large enough
        ((512, 384), 76, [256, 384]),  # 38 pixels of the first input
        ((512, 384), 28, [256, 512]),
        ((1280, 960), 40, [256] + 6 * [512]),  # more than twice as large is wanted
        ((4000, 3000), 40, [256] * 3 + 6 * [512]),  # and no more tiles than that; far things are sought in two parts
        ((4000, 3000), 900, [256] * 3),
        ((4000, 500), 20, [256] * 3 + 10 * [512]),  # but for a wide picture
    ],
)
def test_auto_looks_closer_where_things_are_small_and_the_picture_has_more_pixels(path, monkeypatch, size, side, sides):
    detector = open_detector(path, runtime="onnxruntime", threads=1, tiling=Tiling())
    shelf = Shelf(detector, monkeypatch, least=2)
    picture, boxes = shelf_picture(*size, step=side + 20, side=side)
    found = detector.detect(picture)
    assert sorted(map(tuple, found.xyxy.astype(int).tolist())) == sorted(boxes)
    assert shelf.sides == sides


def test_a_wrong_large_box_of_an_aisle_does_not_decide_how_near_one_looks(path, monkeypatch):
    """What is too small to be seen at first is taken for something else."""
    detector = open_detector(path, runtime="onnxruntime", threads=1, tiling=Tiling())
    Shelf(detector, monkeypatch, least=7)
    seen = detector._look
    wrong = Detections(np.array([[0, 0, 3000, 250]], np.float32), np.array([0.7], np.float32), np.zeros(1, np.int64))
    picture, boxes = shelf_picture(3072, 256)

    def look(images, side=None):
        answers = seen(images, side)
        return [wrong if image is picture else found for image, found in zip(images, answers, strict=True)]

    monkeypatch.setattr(detector, "_look", look)
    found = detector.detect(picture)
    assert set(boxes) <= set(map(tuple, found.xyxy.astype(int).tolist()))


def test_when_the_first_look_shows_nothing_a_closer_one_may(path):
    """Markers that vanish when the picture is halved."""
    picture = paint((512, 384), (20, 25, 30, 40, 0.9))
    assert len(open_detector(path, runtime="onnxruntime", threads=1, least_score=0.5).detect(picture)) == 0
    found = open_detector(path, runtime="onnxruntime", threads=1, least_score=0.5, tiling=Tiling()).detect(picture)
    assert found.xyxy.tolist() == [painted_box(20, 25, 30, 40)]


def test_the_default_detector_is_told_to_be_absent_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(default_models, "FOLDER", tmp_path)
    with pytest.raises(ModelError, match="no default detector"):
        open_detector("default")
    write_model(tmp_path, name="detector")
    assert default_model("detector") == tmp_path / "detector.onnx"
    assert open_detector("default", runtime="onnxruntime", threads=1).labels == ("product", "gap")
