"""What spoils training is found, and what is merely worth knowing is a note."""

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfvision.data.check import Kind, Part, check_parts
from shelfvision.data.dataset import Dataset
from shelfvision.data.duplicates import fingerprint, near_pictures, same_pictures
from shelfvision.data.images import read_image
from shelfvision.data.sheet import labelled_sheet, write_picture
from shelfvision.data.statistics import statistics
from shelfvision.errors import DataError
from tests.data.builders import draw, picture, save, shelf

DATA = Path(os.environ.get("SHELFVISION_DATA", Path(__file__).parents[2] / "../shared/data"))


def found(*datasets, **options):
    parts = [Part(name, dataset) for name, dataset in zip(("train", "val", "test"), datasets, strict=False)]
    return list(check_parts(parts, **options))


def kinds(findings):
    return sorted((one.kind.value, one.fault) for one in findings)


def of_boxes(folder, boxes, **options):
    return Dataset(("can",), (picture(save(folder / "a.png"), boxes, **options),), folder)


def test_a_good_dataset_has_no_faults(tmp_path):
    findings = found(shelf(tmp_path / "a", 4), Dataset(("can", "box"), (picture(save(tmp_path / "b.png", seed=50)),)))
    assert not any(one.fault for one in findings)
    assert kinds(findings) == [("no boxes", False), ("no boxes", False), ("unused class", False)]


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((-3, 5, 20, 20), Kind.OUTSIDE),
        ((5, 5, 66, 20), Kind.OUTSIDE),
        ((100, 100, 120, 120), Kind.OUTSIDE),
        ((10, 10, 10, 20), Kind.EMPTY),
        ((20, 10, 10, 30), Kind.EMPTY),
        ((10, 10, 13, 30), Kind.TINY),
    ],
)
def test_wrong_boxes_are_found(tmp_path, box, kind):
    (one,) = found(of_boxes(tmp_path, [(2, 2, 30, 30), box]))
    assert one.kind is kind
    assert one.fault
    assert "a.png" in one.message
    assert f"[{box[0]} {box[1]} {box[2]} {box[3]}]" in one.message


def test_a_pixel_beyond_the_border_is_rounding(tmp_path):
    assert not found(of_boxes(tmp_path, [(-1, 0, 65, 49)]))


def test_what_is_tiny_can_be_said(tmp_path):
    dataset = of_boxes(tmp_path, [(10, 10, 13, 30)])
    assert not found(dataset, least_side=3)
    assert kinds(found(dataset, least_side=3.5)) == [("tiny", True)]


def test_the_same_box_twice_is_found(tmp_path):
    dataset = of_boxes(tmp_path, [(2, 2, 30, 30), (2, 2, 30, 30), (2, 2, 30, 31)])
    assert kinds(found(dataset)) == [("repeated", True)]


def test_ignore_regions_may_be_tiny_or_doubled(tmp_path):
    boxes = [(2, 2, 30, 30), (2, 2, 3, 3), (2, 2, 3, 3)]
    assert not found(of_boxes(tmp_path, boxes, ignore=[False, True, True]))


def test_broken_files_are_found(tmp_path):
    dataset = shelf(tmp_path, 4)
    dataset.pictures[0].path.unlink()
    dataset.pictures[1].path.write_bytes(dataset.pictures[1].path.read_bytes()[:-30])
    save(dataset.pictures[2].path, (48, 64))
    findings = [one for one in found(dataset) if one.fault]
    assert kinds(findings) == [("missing", True), ("size", True), ("unreadable", True)]
    assert any("is 48 x 64, its annotation says 64 x 48" in one.message for one in findings)


def test_labels_of_unrotated_pixels_are_named_as_such(tmp_path):
    from PIL import Image

    made = Image.fromarray(draw())
    exif = made.getexif()
    exif[274] = 6
    made.save(tmp_path / "a.jpg", exif=exif)
    (one,) = found(Dataset(("can",), (picture(tmp_path / "a.jpg", [(2, 2, 30, 30)]),)))
    assert one.kind is Kind.SIZE
    assert "labelled without its Exif rotation" in one.message


def test_a_picture_in_two_splits_is_a_fault_within_one_a_note(tmp_path):
    train, val = shelf(tmp_path / "a", 3), shelf(tmp_path / "b", 5)
    findings = [one for one in found(train, val) if one.kind is Kind.DUPLICATE]
    assert len(findings) == 3
    assert all(one.fault and one.part == "val" and "of train" in one.message for one in findings)
    twice = Dataset(train.labels, (train.pictures[0], picture(save(tmp_path / "c.png", seed=0), [(2, 2, 30, 30)])))
    assert kinds(found(twice)) == [("duplicate", False)]


def test_a_recompressed_rescaled_or_brighter_copy_in_another_split_is_a_fault(tmp_path):
    original = save(tmp_path / "a.png", (320, 240), seed=3)
    image = draw((320, 240), seed=3)
    cv2.imwrite(str(tmp_path / "b.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 40])
    cv2.imwrite(str(tmp_path / "c.png"), cv2.resize(image, (200, 150), interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(tmp_path / "d.png"), cv2.convertScaleAbs(image, alpha=0.95, beta=8))
    box = [(2, 2, 30, 30)]
    train = Dataset(("can",), (picture(original, box, size=(320, 240)),))
    others = [("b.jpg", (320, 240)), ("c.png", (200, 150)), ("d.png", (320, 240))]
    val = Dataset(("can",), tuple(picture(tmp_path / name, box, size=size) for name, size in others))
    assert kinds(found(train, val)) == [("near duplicate", True)] * 3


def test_each_near_picture_is_found_once_however_many_it_resembles(tmp_path):
    """Divided frames of a fixed camera resemble each other all: pairs would be their product."""
    rng = np.random.default_rng(1)
    still = draw((160, 120), 3)
    noisy = [np.clip(still + rng.normal(0, 3, still.shape), 0, 255).astype(np.uint8) for _ in range(9)]
    paths = [tmp_path / f"{number}.png" for number in range(9)]
    for path, image in zip(paths, noisy, strict=True):
        cv2.imwrite(str(path), image)
    prints = [fingerprint(path, image) for path, image in zip(paths, noisy, strict=True)]
    assert list(near_pictures(prints[:4], prints[4:])) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]
    assert not list(near_pictures(prints[:1], prints[:1]))  # the same file, reported as such elsewhere


def test_different_pictures_are_not_near():
    """Neither smooth ones nor plain ones, whose hashes say nothing."""
    images = [draw((160, 120), seed) for seed in range(60)]
    images += [np.full((120, 160, 3), level, np.uint8) for level in (0, 60, 120, 250)]
    prints = [fingerprint(Path(__file__), image) for image in images[:60]]
    own = [replace(one, digest=bytes([number])) for number, one in enumerate(prints)]  # all have this file's bytes
    assert not list(near_pictures(own[:30], own[30:]))
    assert len(same_pictures(prints)) == 1


def test_classes_that_differ_are_found(tmp_path):
    base = shelf(tmp_path / "a", 1)

    def with_labels(*labels):
        return Dataset(labels, (picture(save(tmp_path / "x.png", seed=9), [(2, 2, 30, 30)]),))

    def said(other):
        return [one.message for one in found(base, other) if one.kind is Kind.CLASSES]

    assert not said(with_labels("can", "box"))
    assert said(with_labels("can", "bag")) == ["classes differ from those of train: val lacks box and adds bag"]
    assert "another order: box, can" in said(with_labels("box", "can"))[0]


def test_an_empty_dataset_is_a_fault(tmp_path):
    assert kinds(found(Dataset(("can",), ()))) == [("missing", True), ("unused class", False)]


def test_consecutive_frames_in_two_splits_are_near():
    """A recording divided frame by frame measures nothing: the fault that spoils small datasets most often."""
    frames = sorted((DATA / "hands_on_shelf/china_v1").glob("*.jpg"))
    if not frames:
        pytest.skip("no hands_on_shelf in $SHELFVISION_DATA")
    prints = [fingerprint(path, read_image(path)) for path in frames]
    near = {two for _, two in near_pictures(prints[::2], prints[1::2])}
    assert len(near) > 0.3 * len(prints[1::2])


def test_different_photographs_of_one_kind_are_not_near():
    paths = sorted((DATA / "freiburg_boxes/images").glob("CO*.jpg"))[:160]
    if not paths:
        pytest.skip("no freiburg_boxes in $SHELFVISION_DATA")
    prints = [fingerprint(path, read_image(path)) for path in paths]
    assert len(list(near_pictures(prints[::2], prints[1::2]))) <= 2  # some are the same photograph saved anew


def test_figures_are_those_of_the_boxes(tmp_path):
    boxes = [(0, 0, 10, 20), (0, 0, 40, 40), (0, 0, 30, 30)]
    first = picture(tmp_path / "a.png", boxes, labels=[0, 1, 1], ignore=[False, False, True])
    one = statistics(Dataset(("can", "box"), (first, picture(tmp_path / "b.png"))))
    assert (one.pictures, one.without_boxes, one.boxes, one.ignore_regions) == (2, 1, 2, 1)
    assert one.classes == {"can": 1, "box": 1}
    assert (one.small, one.medium, one.large) == (1, 1, 0)
    assert one.densest == str(tmp_path / "a.png")
    assert (one.boxes_a_picture.least, one.boxes_a_picture.most) == (0, 2)
    assert one.box_side.most == 40
    assert one.box_side_at_640.most == 400
    assert (one.aspect.least, one.aspect.most) == (0.5, 1)
    assert json.dumps(one.to_json())
    assert statistics(Dataset(("can",), ())).boxes == 0


def test_the_sheet_shows_boxes_where_they_are(tmp_path):
    image = np.zeros((300, 400, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    dataset = Dataset(("can",), (picture(tmp_path / "a.png", [(100, 50, 300, 250)], size=(400, 300)),))
    sheet = labelled_sheet(dataset)
    coloured = (sheet.max(axis=2).astype(int) - sheet.min(axis=2)) > 150
    rows, columns = np.nonzero(coloured[30:])  # below the legend
    width, height = columns.max() - columns.min(), rows.max() - rows.min()
    assert width == pytest.approx(200 * 3, abs=4)  # one sample is 1,200 pixels wide
    assert height == pytest.approx(200 * 3, abs=4)


def test_the_sheet_survives_a_box_of_any_size(tmp_path):
    save(tmp_path / "a.png")
    boxes = [(-5e8, -5e8, 5e8, 5e8), (5e8, 2, 6e8, 30), (4, 4, 30, 30)]
    assert labelled_sheet(Dataset(("can",), (picture(tmp_path / "a.png", boxes),))).any()


def test_the_sheet_of_broken_and_no_pictures(tmp_path):
    assert labelled_sheet(Dataset(("can",), (picture(tmp_path / "gone.png", [(1, 2, 30, 40)]),))).any()
    assert labelled_sheet(Dataset((), ())).any()
    with pytest.raises(DataError, match=r"expected a name that ends with \.jpg"):
        write_picture(tmp_path / "sheet.txt", labelled_sheet(Dataset((), ())))
