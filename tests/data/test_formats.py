"""Every format gives back what was written, as far as it can hold it, and says what it cannot."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfvision.data.coco import write_coco
from shelfvision.data.dataset import Dataset
from shelfvision.data.open_dataset import dataset_format, dataset_splits, open_dataset
from shelfvision.data.placing import Placing, picture_names
from shelfvision.data.sku110k import write_sku110k
from shelfvision.data.voc import write_voc
from shelfvision.data.yolo import write_yolo
from shelfvision.errors import DataError
from tests.data.builders import picture, save, shelf

WRITERS = {"coco": write_coco, "yolo": write_yolo, "voc": write_voc, "sku110k": write_sku110k}
LETTERS = st.characters(whitelist_categories=["Lu", "Ll", "Nd", "Lo"], whitelist_characters="-_ &<>'\"/:#,")
NAMES = st.lists(
    st.text(LETTERS, min_size=1, max_size=12).map(str.strip).filter(lambda name: name and name.lower() != "ignore"),
    min_size=1,
    max_size=4,
    unique=True,
).map(sorted)


@st.composite
def datasets(draw, folder):
    labels = draw(NAMES)
    pictures = []
    for number in range(draw(st.integers(1, 3))):
        size = draw(st.sampled_from([(64, 48), (33, 97), (2000, 20)]))
        path = folder / f"{number}-{size[0]}x{size[1]}.png"
        if not path.exists():
            save(path, size)
        boxes = []
        for _ in range(draw(st.integers(0, 5))):
            left, right = sorted(draw(st.lists(st.floats(0, size[0], width=32), min_size=2, max_size=2)))
            top, bottom = sorted(draw(st.lists(st.floats(0, size[1], width=32), min_size=2, max_size=2)))
            boxes.append((left, top, right, bottom))
        classes = [draw(st.integers(0, len(labels) - 1)) for _ in boxes]
        ignore = [draw(st.booleans()) for _ in boxes]
        pictures.append(picture(path, boxes, classes, ignore, size))
    return Dataset(tuple(labels), tuple(pictures))


def boxes_of(dataset, *, ignored=True):
    """Picture name -> sorted (class name, ignore, box to a hundredth), as far as it is asked for."""
    return {
        one.path.resolve().name: sorted(
            (dataset.labels[label], bool(ignore), *(round(float(value), 2) for value in box))
            for box, label, ignore in zip(one.xyxy, one.label, one.ignore, strict=True)
            if ignored or not ignore
        )
        for one in dataset
    }


def close(first, second):
    assert first.keys() == second.keys()
    for name, boxes in first.items():
        assert [box[:2] for box in boxes] == [box[:2] for box in second[name]]
        np.testing.assert_allclose([box[2:] for box in boxes], [box[2:] for box in second[name]], atol=0.021)


@pytest.mark.parametrize("name", WRITERS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read_back(name, data):
    holds_ignore = name in {"coco", "voc"}
    with tempfile.TemporaryDirectory() as place:
        dataset = data.draw(datasets(Path(place) / "pictures"))
        folder = Path(place) / "out"
        notes = WRITERS[name](dataset, folder)
        wanted = boxes_of(dataset, ignored=holds_ignore)
        if name == "sku110k":
            wanted = {key: boxes for key, boxes in wanted.items() if boxes}
            if not wanted:
                assert any("left out" in note for note in notes)
                return
        read = open_dataset(folder)
        close(boxes_of(read), wanted)
        assert {one.path.resolve().name: one.size for one in read} == {
            one.path.name: one.size for one in dataset if one.path.name in wanted
        }
        if name in {"coco", "yolo"}:
            assert read.labels == dataset.labels
        if not holds_ignore and any(one.ignore.any() for one in dataset):
            assert any("ignore regions are left out" in note for note in notes)


@pytest.mark.parametrize("name", WRITERS)
def test_splits_are_written_beside_each_other_and_found_again(name, tmp_path):
    parts = {"train": shelf(tmp_path / "a", 3), "val": shelf(tmp_path / "b", 2)}
    for split, dataset in parts.items():
        WRITERS[name](dataset, tmp_path / "out", split=split)
    assert dataset_format(tmp_path / "out") == name
    assert sorted(dataset_splits(tmp_path / "out")) == ["train", "val"]
    with pytest.raises(DataError, match=r"has the splits .*; say which one to use"):
        open_dataset(tmp_path / "out")
    with pytest.raises(DataError, match="no split test"):
        open_dataset(tmp_path / "out", split="test")
    for split, dataset in parts.items():
        read = open_dataset(tmp_path / "out", split=split)
        assert read.labels == ("can", "box") if name in {"coco", "yolo"} else ("box", "can")
        kept = len(dataset) - (name == "sku110k")  # its last picture has no boxes
        assert len(read) == kept
        # both parts have a 000.png: each must show its own picture
        assert {one.path.resolve().parent for one in read} == {dataset.source.resolve()}


@pytest.mark.parametrize("placing", Placing)
@pytest.mark.parametrize("name", WRITERS)
def test_pictures_are_linked_copied_or_left(name, placing, tmp_path):
    dataset = shelf(tmp_path / "pictures", 2)
    if name == "yolo" and placing is Placing.REFERENCE:
        with pytest.raises(DataError, match="link or copy"):
            write_yolo(dataset, tmp_path / "out", placing=placing)
        return
    WRITERS[name](dataset, tmp_path / "out", placing=placing)
    paths = [one.path for one in open_dataset(tmp_path / "out")]
    assert all(path.is_file() for path in paths)
    assert all(path.is_symlink() is (placing is Placing.LINK) for path in paths)
    assert all((tmp_path / "out" in path.parents) is (placing is not Placing.REFERENCE) for path in paths)


@pytest.mark.parametrize("name", WRITERS)
def test_a_picture_that_is_gone_stops_the_writing(name, tmp_path):
    dataset = shelf(tmp_path / "pictures", 2)
    dataset.pictures[0].path.unlink()
    with pytest.raises(DataError, match=r"000\.png: no such picture"):
        WRITERS[name](dataset, tmp_path / "out")


def test_names_stay_unique_without_their_endings():
    """Labels of a.jpg and a.png would be one file."""
    paths = [Path(name) for name in ("x/a.jpg", "x/a.png", "y/a.jpg", "y/b.jpg", "x_a.jpg", "x/A.JPG")]
    names = picture_names(paths)
    assert names[3] == "b.jpg"
    stems = [name.rpartition(".")[0].lower() for name in names]
    assert len(set(stems)) == len(stems)
    assert [Path(name).suffix for name in names] == [path.suffix for path in paths]


def test_names_are_found_again_by_readers(tmp_path, monkeypatch):
    """Not hidden, no folder, and with the ending of a picture."""
    save(tmp_path / "b/images/001.png")
    save(tmp_path / "a/images/001.png")
    save(tmp_path / ".hidden.png")
    save(tmp_path / "plain.jpg").rename(tmp_path / "plain")
    save(tmp_path / "plain.v2.png").rename(tmp_path / "plain.v2")
    monkeypatch.chdir(tmp_path / "a")
    paths = ["images/001.png", "../b/images/001.png", "../.hidden.png", "../plain", "../plain.v2", "../gone"]
    names = picture_names([Path(path) for path in paths])
    assert names == ["a_images_001.png", "b_images_001.png", "hidden.png", "plain.jpeg", "plain.v2.png", "gone.jpg"]


@pytest.mark.parametrize("name", ["yolo", "voc"])
def test_names_with_spaces_stay_apart_between_splits(name, tmp_path):
    for split in ("train", "val"):
        one = picture(save(tmp_path / split / "shelf 1.png"), [(2, 2, 30, 30)])
        WRITERS[name](Dataset(("can",), (one,)), tmp_path / "out", split=split)
    for split in ("train", "val"):
        (one,) = open_dataset(tmp_path / "out", split=split).pictures
        assert one.path.resolve() == tmp_path / split / "shelf 1.png"
