"""Data sets of stills: the same bytes everywhere, resumable, exact, and bad input told clearly."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfvision.cli.main import main
from shelfvision.errors import ConfigError
from shelfvision.sim.stills import Recipe, Store, contact_sheet, make_stills, write_sheet

SMALL = Recipe(seed=3, size=(320, 240), products=40, people=0.5)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def simulate(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "shelfvision", "simulate", "images", "--out", str(out), *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """Six small stills, made by the command."""
    out = tmp_path_factory.mktemp("stills") / "set"
    done = simulate(
        out, "--count", "6", "--seed", "3", "--size", "320x240", "--products", "40", "--people", "0.5", "--json"
    )
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_the_annotations_are_coco_with_sku_family_and_visibility(data_set):
    out, summary = data_set
    document = json.loads((out / "annotations.json").read_bytes())
    assert summary["stills"] == summary["rendered"] == 6
    assert summary["boxes"] == len(document["annotations"]) > 50
    assert [(c["id"], c["name"]) for c in document["categories"]] == [(1, "product"), (2, "gap"), (3, "hand")]
    sizes = {}
    for image in document["images"]:
        picture = cv2.imread(str(out / image["file_name"]))
        assert picture.shape == (image["height"], image["width"], 3)
        sizes[image["id"]] = (image["width"], image["height"])
    assert len({a["id"] for a in document["annotations"]}) == len(document["annotations"])
    for found in document["annotations"]:
        left, top, wide, high = found["bbox"]
        width, height = sizes[found["image_id"]]
        assert 0 <= left < left + wide <= width
        assert 0 <= top < top + high <= height
        assert 0 < found["visibility"] <= 1
        assert found["iscrowd"] in {0, 1}
        if found["category_id"] == 1:
            assert found["sku"]
            assert found["family"]


def test_the_same_seed_gives_the_same_bytes_in_other_processes(data_set, tmp_path):
    """Two workers in a new process render what one process rendered."""
    out, _ = data_set
    again = simulate(
        tmp_path / "again", "--count", "6", "--seed", "3", "--size", "320x240", "--products", "40", "--people", "0.5",
        "--workers", "2",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert digest(tmp_path / "again") == digest(out)
    other = make_stills(tmp_path / "other", 1, Recipe(seed=4, size=(320, 240), products=40))
    assert digest(other.parent)["images/000000.jpg"] != digest(out)["images/000000.jpg"]


def test_a_set_that_was_cut_short_is_finished_and_equals_an_unbroken_one(data_set, tmp_path):
    out, _ = data_set
    make_stills(tmp_path, 6, SMALL)
    whole = digest(tmp_path)
    assert whole == digest(out)
    (tmp_path / "truth" / "000002.json").unlink()
    (tmp_path / "images" / "000004.jpg").unlink()
    (tmp_path / "truth" / "000004.json").unlink()
    (tmp_path / "annotations.json").unlink()
    done = []
    make_stills(tmp_path, 6, SMALL, on_progress=lambda number, of: done.append((number, of)))
    assert done == [(4, 6), (5, 6), (6, 6)]
    assert digest(tmp_path) == whole


def test_a_set_can_be_extended(tmp_path):
    make_stills(tmp_path, 2, SMALL)
    before = digest(tmp_path)
    make_stills(tmp_path, 3, SMALL)
    after = digest(tmp_path)
    assert {name: after[name] for name in before if name != "annotations.json"} == {
        name: value for name, value in before.items() if name != "annotations.json"
    }
    assert len(json.loads((tmp_path / "annotations.json").read_bytes())["images"]) == 3


def test_a_folder_of_another_recipe_or_of_foreign_pictures_is_left_alone(tmp_path):
    make_stills(tmp_path / "ours", 1, SMALL)
    with pytest.raises(ConfigError, match="another recipe"):
        make_stills(tmp_path / "ours", 1, Recipe(seed=99, size=(320, 240)))
    (tmp_path / "theirs" / "images").mkdir(parents=True)
    (tmp_path / "theirs" / "images" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(ConfigError, match="not ours"):
        make_stills(tmp_path / "theirs", 1, SMALL)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--count", "0"], "--count"),
        (["--workers", "0"], "--workers"),
        (["--size", "10x10"], "--size"),
        (["--products", "0"], "--products"),
        (["--families", "sofa"], "--families"),
        (["--people", "2"], "--people"),
        (["--seed", "-1"], "--seed"),
        (["--textures", "nowhere"], "--textures"),
        (["--pack-shots", "."], "--pack-shots"),
    ],
)
def test_impossible_options_are_one_clear_error_and_nothing_is_begun(tmp_path, monkeypatch, capsys, words, told):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main(["simulate", "images", "--out", str(tmp_path / "out"), *words]) == 1
    said = capsys.readouterr().err
    assert told in said
    assert [line for line in said.splitlines() if line.strip()] == [said.strip()]
    assert said.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_an_unreadable_size_is_wrong_usage(tmp_path, capsys):
    assert main(["simulate", "images", "--out", str(tmp_path / "out"), "--size", "wide"]) == 2
    assert "--size 'wide'" in capsys.readouterr().err


def test_broken_pack_shots_are_named_before_any_still_is_made(tmp_path):
    folder = tmp_path / "shots"
    folder.mkdir()
    with pytest.raises(ConfigError, match=r"--pack-shots.*shots.*no picture"):
        make_stills(tmp_path / "out", 1, Recipe(pack_shots=str(folder)))
    whole = cv2.imencode(".png", np.full((40, 40, 3), 200, np.uint8))[1].tobytes()
    (folder / "half.png").write_bytes(whole[:30])
    with pytest.raises(ConfigError, match=r"half\.png"):
        make_stills(tmp_path / "out", 1, Recipe(pack_shots=str(folder)))
    assert not (tmp_path / "out").exists()


def test_textures_and_pack_shots_show_in_the_stills(tmp_path):
    """With folders given the pictures are used; without them nothing of them is."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    shot = np.full((90, 60, 3), 250, np.uint8)
    cv2.rectangle(shot, (12, 10), (47, 80), (200, 20, 180), -1)
    cv2.imwrite(str(folder / "pink.png"), shot)
    store = Store(Recipe(seed=1, size=(320, 240), products=12, pack_shots=str(folder), textures=str(folder)), 0)
    assert [pack.name for pack in store.assortment if pack.pack_shot] == ["pink"]
    assert any(pack.design is not None and pack.design.photograph for pack in store.assortment)
    shown = [a for number in range(4) for a in store.still(number).annotations if a.get("family") == "pack_shot"]
    assert shown


def test_hands_have_boxes_and_hide_what_is_behind_them():
    """In stills with people a hand's box is about its own pixels, and hidden products lose theirs."""
    people, nobody = (Store(Recipe(seed=5, size=(480, 360), products=40, people=share), 0) for share in (1.0, 0.0))
    hands = covered = 0
    for number in range(8):
        with_them, without = people.still(number), nobody.still(number)
        found = [a for a in with_them.annotations if a["category_id"] == 3]
        hands += len(found)
        for hand in found:
            left, top, wide, high = hand["bbox"]
            part = with_them.instance_map[top : top + high, left : left + wide]
            assert np.count_nonzero(part > without.instance_map.max()) >= hand["area"]
            assert hand["iscrowd"] or 0.15 < hand["area"] / (wide * high) <= 1
        if found:
            covered += bool((with_them.instance_map == -1).any())  # arms and bodies hide without being anything
            assert (with_them.image != without.image).any()
    assert hands >= 5
    assert covered >= 3
    assert not any(a["category_id"] == 3 for number in range(8) for a in nobody.still(number).annotations)


def test_a_contact_sheet_shows_the_first_stills_side_by_side(data_set, tmp_path):
    out, _ = data_set
    sheet = contact_sheet(out, range(6), columns=4, width=80)
    assert sheet.shape == (120, 320, 3)
    assert sheet[:60].std() > 10
    assert not sheet[60:, 160:].any(), "empty cells are black"
    write_sheet(tmp_path / "sheet.png", sheet)
    assert (cv2.imread(str(tmp_path / "sheet.png")) == sheet).all()
    with pytest.raises(ConfigError, match="name it"):
        write_sheet(tmp_path / "sheet.txt", sheet)
