"""Pascal VOC folders of many makers are read; what is broken is one clear error."""

import pytest

from shelfvision.data.open_dataset import dataset_splits, open_dataset
from shelfvision.data.voc import read_voc
from shelfvision.errors import DataError
from tests.data.builders import save

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>31</xmax><ymax>22.5</ymax></bndbox>"


def xml(objects="", size="<size><width>64</width><height>48</height></size>", filename="a.png", extra=""):
    return f"<annotation><filename>{filename}</filename>{extra}{size}{objects}</annotation>"


def thing(name="can", box=BOX, extra=""):
    return f"<object><name>{name}</name>{extra}{box}</object>"


def put(folder, text, name="a.xml"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_beside_their_pictures(tmp_path):
    save(tmp_path / "a.png")
    put(tmp_path, xml(thing() + thing("box", extra="<difficult>1</difficult>")))
    dataset = open_dataset(tmp_path)
    assert dataset.labels == ("box", "can")
    (one,) = dataset.pictures
    assert one.path == tmp_path / "a.png"
    assert one.xyxy.tolist() == [[1, 2, 31, 22.5]] * 2
    assert one.label.tolist() == [1, 0]
    assert one.ignore.tolist() == [False, True]


def test_the_layout_of_voc_with_its_splits(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / f"JPEGImages/{name}.jpg")
        put(tmp_path / "Annotations", xml(thing(name), filename=f"{name}.jpg"), f"{name}.xml")
    put(tmp_path / "ImageSets/Main", "a\n", "train.txt")
    put(tmp_path / "ImageSets/Main", "b\n", "val.txt")
    put(tmp_path / "ImageSets/Main", "a -1\nb  1\n", "can_val.txt")
    train, val = (open_dataset(tmp_path, split=split) for split in ("train", "val"))
    assert [one.path.name for one in train] == ["a.jpg"]
    assert [one.path.name for one in val] == ["b.jpg"]
    assert train.labels == val.labels == ("a", "b")  # those of the whole folder, so that classes agree


def test_a_renamed_pair_is_matched_by_its_own_name(tmp_path):
    """The name inside is often that of before somebody renamed both files, or of another machine."""
    save(tmp_path / "shop-1.jpg")
    save(tmp_path / "old.jpg")
    put(tmp_path, xml(thing(), filename="old.jpg", extra="<path>C:\\me\\old.jpg</path>"), "shop-1.xml")
    assert open_dataset(tmp_path).pictures[0].path == tmp_path / "shop-1.jpg"


def test_a_size_of_zero_is_read_from_the_picture(tmp_path):
    save(tmp_path / "a.png", (50, 40))
    put(tmp_path, xml(thing(), size="<size><width>0</width><height>0</height></size>"))
    assert open_dataset(tmp_path).pictures[0].size == (50, 40)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"a\.xml line 1, column 1: not XML"),
        ("<annotation>\n<object>", r"a\.xml line 2, column 9: not XML"),
        ("<opencv_storage/>", r"it begins with <opencv_storage>"),
        (xml(thing(name="")), "object 1 has no name"),
        (xml(thing(box="")), r"object 1 \(can\): bndbox is nothing"),
        (xml(thing(box=BOX.replace("31", "wide"))), r"object 1 \(can\): bndbox is '1', '2', 'wide'"),
        (xml(thing(box=BOX.replace("31", "nan"))), r"object 1 \(can\): bndbox"),
        (xml(thing(), size=""), r"a\.png: no such picture"),
        ('<!DOCTYPE a [<!ENTITY x "y">]>' + xml(thing("&x;")), "document type definition"),
    ],
)
def test_a_broken_file_is_one_clear_error(tmp_path, text, words):
    put(tmp_path, text)
    with pytest.raises(DataError, match=words) as caught:
        read_voc(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_one_clear_error(tmp_path):
    (tmp_path / "a.xml").write_bytes(b"\xff\xfe\x00<")
    with pytest.raises(DataError, match="not UTF-8"):
        read_voc(tmp_path)


def test_a_split_that_names_what_is_not_there_is_said(tmp_path):
    put(tmp_path / "Annotations", xml(thing()))
    put(tmp_path / "ImageSets/Main", "a\ngone\n", "train.txt")
    with pytest.raises(DataError, match="the list train names gone"):
        open_dataset(tmp_path, split="train")


def test_every_list_that_divides_is_a_split(tmp_path):
    for name in ("a", "b", "shelf 1"):
        put(tmp_path / "Annotations", xml(thing(name), filename=f"{name}.jpg"), f"{name}.xml")
    for split, lines in {"train": "a\n", "valid": "b\n", "night": "shelf 1\n", "trainval": "a\nb\n"}.items():
        put(tmp_path / "ImageSets/Main", lines, f"{split}.txt")
    put(tmp_path / "ImageSets/Main", "a  1\nb -1\nshelf 1  0\n", "can_train.txt")
    assert dataset_splits(tmp_path) == ("train", "night", "valid")
    assert [one.path.stem for one in open_dataset(tmp_path, split="night")] == ["shelf 1"]
    assert [one.path.stem for one in read_voc(tmp_path, split="can_train")] == ["a", "shelf 1"]


def test_a_list_may_name_pictures_in_folders(tmp_path):
    for camera in ("cam1", "cam2"):
        put(tmp_path / f"Annotations/{camera}", xml(thing(), filename="001.jpg"), "001.xml")
    put(tmp_path / "Annotations/cam1", xml(thing(), filename="002.jpg"), "002.xml")
    put(tmp_path / "ImageSets/Main", "cam1/001\n002\n", "train.txt")
    put(tmp_path / "ImageSets/Main", "001\n", "val.txt")
    read = open_dataset(tmp_path, split="train")
    assert [one.path.parent.name + "/" + one.path.stem for one in read] == ["cam1/001", "cam1/002"]
    with pytest.raises(DataError, match="names 001, for which several have that name in different folders"):
        open_dataset(tmp_path, split="val")


def test_lists_may_stand_beside_files_that_lie_with_their_pictures(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / f"{name}.png")
        put(tmp_path, xml(thing(), filename=f"{name}.png"), f"{name}.xml")
    put(tmp_path / "ImageSets/Main", "b\n", "val.txt")
    assert [one.path.name for one in open_dataset(tmp_path, split="val")] == ["b.png"]


def test_boxes_of_a_class_called_ignore_are_regions(tmp_path):
    put(tmp_path, xml(thing() + thing("ignore")))
    dataset = read_voc(tmp_path)
    assert dataset.labels == ("can",)
    assert dataset.pictures[0].ignore.tolist() == [False, True]


def test_a_class_that_is_not_among_the_given_ones_is_said(tmp_path):
    put(tmp_path, xml(thing("box")))
    with pytest.raises(DataError, match="class box is not among the classes can"):
        read_voc(tmp_path, labels=["can"])
