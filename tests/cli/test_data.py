"""`shelfvision data check|stats|convert` as a person calls them."""

import json
import shutil

import cv2
import pytest

from shelfvision.cli.main import main
from shelfvision.data.coco import write_coco
from shelfvision.data.open_dataset import dataset_splits, open_dataset
from shelfvision.data.placing import Placing
from shelfvision.data.yolo import write_yolo
from tests.data.builders import save, shelf


@pytest.fixture
def good(tmp_path):
    """A COCO folder of three pictures, the last without boxes."""
    write_coco(shelf(tmp_path / "pictures", 3), tmp_path / "good", placing=Placing.COPY)
    return tmp_path / "good"


def run(*words):
    return main(["data", *map(str, words)])


def test_check_of_a_good_dataset(good, capsys):
    assert run("check", good) == 0
    out = capsys.readouterr().out
    assert "3 pictures, 4 boxes; classes: can, box" in out
    assert "note: no boxes: 1" in out
    assert out.endswith("no faults, 1 notes\n")


def test_check_collects_every_fault_of_files_and_annotations(good, capsys):
    document = json.loads((good / "annotations.json").read_text())
    document["annotations"][0]["bbox"] = [1, 2]
    document["annotations"][1]["bbox"] = [60, 40, 20, 20]
    (good / "annotations.json").write_text(json.dumps(document))
    (good / "images/000.png").unlink()
    (good / "images/001.png").write_bytes(b"")
    assert run("check", good, "--json") == 1
    result = json.loads(capsys.readouterr().out)
    found = [(one["kind"], one["fault"]) for one in result["findings"]]
    assert [kind for kind, fault in found if fault] == ["annotation", "missing", "unreadable", "outside"]
    assert (result["faults"], result["notes"]) == (4, 1)
    assert result["parts"][0]["pictures"] == 3


def test_check_compares_splits_and_datasets(good, tmp_path, capsys):
    assert run("check", good, good) == 1
    assert "the same file as" in capsys.readouterr().out
    for split in ("train", "val"):
        write_coco(shelf(tmp_path / "again", 2), tmp_path / "leak", split=split)
    assert run("check", tmp_path / "leak", "--json") == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {one["part"] for one in found if one["kind"] == "duplicate"} == {"val"}
    assert run("check", tmp_path / "leak", "--split", "train") == 0


def test_check_draws_a_sheet(good, tmp_path, capsys):
    assert run("check", good, "--sheet", tmp_path / "out/sheet.jpg") == 0
    assert cv2.imread(str(tmp_path / "out/sheet.jpg")).shape[2] == 3


def test_check_prints_five_of_a_kind_or_all(tmp_path, capsys):
    dataset = shelf(tmp_path / "pictures", 9)
    write_coco(dataset, tmp_path / "data", placing=Placing.COPY)
    for number in range(8):
        (tmp_path / f"data/images/{number:03}.png").unlink()
    assert run("check", tmp_path / "data") == 1
    out = capsys.readouterr().out
    assert out.count("no such picture") == 5
    assert "and 3 more" in out
    assert run("check", tmp_path / "data", "--all") == 1
    assert capsys.readouterr().out.count("no such picture") == 8


def test_stats(good, capsys):
    assert run("stats", good) == 0
    out = capsys.readouterr().out
    assert "3 pictures (1 without boxes), 4 boxes" in out
    assert run("stats", good, "--json") == 0
    (figures,) = json.loads(capsys.readouterr().out).values()
    assert figures["classes"] == {"can": 2, "box": 2}
    assert figures["picture_sizes"] == {"64x48": 3}


@pytest.mark.parametrize("to", ["coco", "yolo", "voc", "sku110k"])
def test_convert_to_every_format_with_classes_merged(good, tmp_path, to, capsys):
    assert run("convert", good, "--to", to, "--out", tmp_path / "new", "--labels", "*=product", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["classes"] == ["product"]
    assert sum(result["boxes"].values()) == 4
    dataset = open_dataset(tmp_path / "new")
    assert dataset.labels == ("product",)
    assert sum(len(one) for one in dataset) == 4
    assert run("check", tmp_path / "new") == 0


def test_convert_keeps_splits_and_their_classes(tmp_path, capsys):
    for split, count in (("train2017", 3), ("val2017", 2)):
        write_coco(shelf(tmp_path / split, count), tmp_path / "data", split=split)
    assert run("convert", tmp_path / "data", "--to", "yolo", "--out", tmp_path / "new", "--copy") == 0
    assert dataset_splits(tmp_path / "new") == ("train", "val")
    assert len(open_dataset(tmp_path / "new", split="train")) == 3
    assert not (tmp_path / "new/images/train/000.png").is_symlink()
    assert run("convert", tmp_path / "data", "--to", "yolo", "--out", tmp_path / "one", "--split", "val2017") == 0
    assert dataset_splits(tmp_path / "one") == ("val",)


def test_nothing_is_overwritten_without_force(good, tmp_path, capsys):
    out = tmp_path / "new"
    save(out / "mine/precious.png")
    assert run("convert", good, "--to", "yolo", "--out", out) == 1
    assert "is not empty" in capsys.readouterr().err
    assert run("convert", good, "--to", "yolo", "--out", out, "--force") == 0
    assert (out / "mine/precious.png").is_file()


def test_force_leaves_nothing_of_the_earlier_conversion(good, tmp_path, capsys):
    """A picture that is no longer in the dataset would go on being trained on."""
    out = tmp_path / "new"
    assert run("convert", good, "--to", "yolo", "--out", out) == 0
    document = json.loads((good / "annotations.json").read_text())
    document["images"] = document["images"][:1]
    document["annotations"] = document["annotations"][:2]
    (good / "annotations.json").write_text(json.dumps(document))
    assert run("convert", good, "--to", "yolo", "--out", out, "--force") == 0
    assert len(open_dataset(out, split="train")) == 1
    assert run("convert", good, "--to", "voc", "--out", out, "--force") == 0
    assert sorted(entry.name for entry in out.iterdir()) == ["Annotations", "JPEGImages", "converted.json"]


def test_force_never_replaces_a_folder_that_no_conversion_wrote(good, capsys):
    assert run("convert", good, "--to", "yolo", "--out", good, "--force") == 1
    assert "images there was not written by a conversion" in capsys.readouterr().err
    assert run("check", good) == 0


def test_force_never_replaces_a_file_that_no_conversion_wrote(tmp_path, capsys):
    store = tmp_path / "store"
    write_coco(shelf(store, 2), store, placing=Placing.COPY)
    before = (store / "annotations.json").read_text()
    words = ("--to", "coco", "--out", store, "--labels", "can=", "--reference", "--force")
    assert run("convert", store / "annotations.json", *words) == 1
    assert "annotations.json there was not written by a conversion" in capsys.readouterr().err
    assert (store / "annotations.json").read_text() == before


def test_force_never_removes_the_pictures_that_it_converts(good, tmp_path, capsys):
    out = tmp_path / "new"
    assert run("convert", good, "--to", "coco", "--out", out, "--copy") == 0
    shutil.rmtree(good)
    for placing in ("--link", "--copy", "--reference"):
        words = ("--to", "coco", "--out", out, "--labels", "can=product", "--force", placing)
        assert run("convert", out, *words) == 1
        assert "000.png, which is to be converted; choose another folder" in capsys.readouterr().err
    assert run("check", out) == 0


def test_a_dataset_of_links_is_converted_in_its_place(good, tmp_path):
    out = tmp_path / "new"
    assert run("convert", good, "--to", "coco", "--out", out) == 0
    assert run("convert", out, "--to", "coco", "--out", out, "--labels", "can=product", "--force") == 0
    assert open_dataset(out).labels == ("product", "box")
    assert run("check", out) == 0
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_one_folder_of_pictures_does_not_make_two_equal_splits(tmp_path, capsys):
    for split in ("train", "val"):
        write_yolo(shelf(tmp_path / split, 2), tmp_path / "data", split=split)
    flat = shelf(tmp_path / "flat", 2).source
    (flat / "000.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    words = ("convert", tmp_path / "data", "--to", "coco", "--out", tmp_path / "out", "--images", flat)
    assert run(*words) == 1
    assert "gives train and val the same pictures" in capsys.readouterr().err
    assert run(*words, "--split", "val") == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["check", "GONE"], 1, "no such file or folder"),
        (["stats", "GONE"], 1, "no such file or folder"),
        (["stats", "GOOD", "--split", "val"], 1, "no split val"),
        (["convert", "GOOD", "--to", "yolo", "--out", "NEW", "--link", "--copy"], 2, "exclude each other"),
        (["convert", "GOOD", "--to", "tfrecord", "--out", "NEW"], 2, "tfrecord"),
        (["convert", "GOOD", "--to", "yolo", "--out", "NEW", "--labels", "cola=x"], 1, "no class cola"),
        (["convert", "GOOD", "--to", "yolo", "--out", "NEW", "--labels", "cola"], 1, "expected OLD=NEW"),
        (["convert", "GOOD", "--to", "yolo", "--out", "NEW", "--reference"], 1, "link or copy the pictures"),
        (["convert", "GOOD", "--to", "voc", "--out", "GOOD/annotations.json"], 1, "is there and no folder"),
    ],
)
def test_mistakes_are_one_clear_error_and_leave_nothing(good, tmp_path, capsys, *, words, code, said):
    places = {"GONE": tmp_path / "gone", "GOOD": good, "NEW": tmp_path / "new"}
    before = sorted(tmp_path.rglob("*"))
    words = [word.replace("GOOD", str(good)) if "/" in word else str(places.get(word, word)) for word in words]
    assert main(["data", *words]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_broken_pictures_and_boxes_can_be_left_out(good, tmp_path, capsys):
    document = json.loads((good / "annotations.json").read_text())
    document["annotations"][2]["bbox"] = [50, 40, 100, 100]
    document["annotations"][3]["bbox"] = [70, 10, 20, 20]
    (good / "annotations.json").write_text(json.dumps(document))
    broken = good / "images/000.png"
    broken.write_bytes(broken.read_bytes()[:-20])
    assert run("convert", good, "--to", "coco", "--out", tmp_path / "new", "--without-broken") == 0
    out = capsys.readouterr().out
    assert "000.png: the PNG file is cut off" in out
    assert "1 boxes without area" in out
    dataset = open_dataset(tmp_path / "new")
    assert [one.path.name for one in dataset] == ["001.png", "002.png"]
    assert dataset.pictures[0].xyxy.tolist() == [[50, 40, 64, 48]]
    assert run("check", tmp_path / "new") == 0
