"""The prepare scripts of datasets/ bring a folder into the form that the cards promise, and copy nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from shelfvision.data.coco import write_coco
from shelfvision.data.dataset import Dataset
from shelfvision.data.open_dataset import dataset_splits, open_dataset
from shelfvision.data.placing import Placing
from shelfvision.data.voc import write_voc
from tests.data.builders import picture, save

DATASETS = Path(__file__).parents[2] / "datasets"


def run(script, *words):
    return subprocess.run(
        [sys.executable, DATASETS / script, *words], check=False, capture_output=True, text=True, timeout=60
    )


def test_hands_on_shelf_has_two_classes_and_a_split_a_recording(tmp_path):
    source = tmp_path / "hands_on_shelf"
    for recording, labels in (("china_v1", ("cola", "hand")), ("v2", ("hand", "juice"))):
        boxes = [(2, 2, 30, 30), (10, 10, 60, 40)]
        shown = picture(save(tmp_path / "drawn" / f"{recording}.jpg"), boxes, labels=[0, 1])
        write_voc(Dataset(labels, (shown,)), tmp_path / recording, placing=Placing.COPY)
        source.joinpath(recording).mkdir(parents=True)
        for file in (tmp_path / recording).glob("*/*"):
            file.rename(source / recording / file.name)
    save(source / "v2/a-empty.jpg", seed=4)
    done = run("hands_on_shelf/prepare.py", source, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert dataset_splits(tmp_path / "out") == ("china_v1", "v2")
    first, second = (open_dataset(tmp_path / "out", split=split) for split in ("china_v1", "v2"))
    assert first.labels == second.labels == ("product", "hand")
    assert first.pictures[0].label.tolist() == [0, 1]
    assert [one.label.tolist() for one in second] == [[], [1, 0]]
    assert second.pictures[1].path == source / "v2/v2.jpg"
    assert not list((tmp_path / "out").rglob("*.jpg"))


def test_freiburg_holds_out_each_tenth_picture_of_a_class(tmp_path):
    path = save(tmp_path / "drawn.png")
    pictures = []
    for label, name in enumerate(("BEANS", "CAKE")):
        for number in range(20):
            place = tmp_path / f"{name}{number:04}.png"
            place.symlink_to(path)
            pictures.append(picture(place, [(2, 2, 30, 30)], labels=[label]))
    source = tmp_path / "freiburg_boxes"
    write_coco(Dataset(("beans", "cake"), tuple(reversed(pictures))), source)
    done = run("freiburg_boxes/prepare.py", source, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    held = [one.path.name for one in open_dataset(tmp_path / "out", split="val")]
    assert sorted(held) == ["BEANS0009.png", "BEANS0019.png", "CAKE0009.png", "CAKE0019.png"]
    assert len(open_dataset(tmp_path / "out", split="train")) == 36


@pytest.mark.parametrize("script", ["hands_on_shelf/prepare.py", "freiburg_boxes/prepare.py"])
def test_a_wrong_folder_is_one_clear_error(script, tmp_path):
    done = run(script, tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_every_dataset_has_a_card_that_the_list_names():
    listed = (DATASETS / "README.md").read_text()
    folders = [path for path in DATASETS.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
    assert len(folders) >= 6
    for folder in folders:
        card = (folder / "README.md").read_text()
        assert f"({folder.name}/README.md)" in listed
        assert "icence" in card
