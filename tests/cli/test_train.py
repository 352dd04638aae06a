"""`shelfvision train detector` as a person calls it."""

import json
import math
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from shelfvision.cli.main import main
from shelfvision.models.checkpoint import load_checkpoint, read_description
from tests.forked import Forked

ROOT = Path(__file__).parents[2]
TINY = ["--set", "size=64", "--set", "batch=8", "--set", "workers=0", "--set", "device=cpu", "--set", "lr=0.003"]
PLAIN = ["--set", "size=128", "--set", "batch=4", "--set", "lr=0.01", "--set", "augment.mosaic=0"]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    """Forty rendered stills of shelves."""
    folder = tmp_path_factory.mktemp("data") / "stills"
    words = ["simulate", "images", "--out", str(folder), "--count", "40", "--size", "160x120", "--products", "12"]
    assert main(words) == 0
    return folder


@pytest.fixture
def config(tmp_path, stills):
    """Settings of a network so small that an epoch takes a second."""
    path = tmp_path / "train.yaml"
    path.write_text(
        f"data: {{train: [{{path: {stills}}}], hold_out: 5}}\n"
        "model: {backbone: csp_nano, start: none, neck: [16, 16, 16], head: 16}\n"
        "augment: {mosaic: 0.2, blur: 0, noise: 0, compression: 0}\n"
        f"epochs: 2\nout: {tmp_path / 'run'}\n"
    )
    return path


def train(config, *words):
    return main(["train", "detector", "--config", str(config), *TINY, *words])


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_simulated_stills_train_a_detector_whose_loss_falls(config, tmp_path, capsys):
    assert train(config, *PLAIN, "--set", "epochs=4") == 0
    out, err = capsys.readouterr()
    assert "32 pictures to train on" in err
    assert "8 pictures to judge by" in err
    assert len([line for line in out.splitlines() if line.startswith("epoch ")]) == 4
    assert f"next: shelfvision export {tmp_path / 'run/best'}" in out
    lines = log(tmp_path / "run")
    totals = [sum(line["losses"].values()) for line in lines]
    assert totals[-1] < 0.97 * totals[0]
    assert set(lines[0]["losses"]) == {"class", "box"}
    assert {"map50_95", "map50", "ap50/product"} <= set(lines[-1]["scores"])
    model = load_checkpoint(tmp_path / "run/best")
    assert model.config.labels[0] == "product"
    about = read_description(tmp_path / "run/best")["provenance"]
    assert about["size"] == 128
    assert about["data"][0]["pictures"] == 40
    assert about["command"].startswith("shelfvision train detector --config")


def test_json_says_where_the_checkpoint_is(config, tmp_path, capsys):
    assert train(config, "--set", "epochs=1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["epochs"] == 1
    assert Path(found["checkpoint"]) in {tmp_path / "run/best", tmp_path / "run/last"}
    assert Path(found["checkpoint"], "model.safetensors").is_file()


def test_a_second_training_starts_from_the_first_and_keeps_classes_by_name(config, tmp_path, capsys):
    assert train(config, "--set", "epochs=1") == 0
    again = ["--set", f"model.start={tmp_path / 'run/last'}", "--set", f"out={tmp_path / 'fine'}"]
    mapped = ["--set", "data.train.0.labels={product: pack, '*': gap}", "--set", "epochs=1"]
    assert train(config, *again, *mapped) == 0
    err = capsys.readouterr().err
    assert "classes new, their rows of the class layer begin at random: pack" in err
    assert "stays as it came: the first 2 stages of the backbone and the statistics" in err
    begun_with = read_description(tmp_path / "fine/last")["provenance"]["start"]
    assert (begun_with["provenance"]["size"], begun_with["share"]) == (64, 0)


def test_few_pictures_for_a_trained_start_leave_half_of_it(config, tmp_path, capsys):
    assert train(config, "--set", "epochs=1") == 0
    again = ["--set", f"model.start={tmp_path / 'run/last'}", "--set", f"out={tmp_path / 'fine'}"]
    assert train(config, *again, "--set", "epochs=1") == 0
    assert "what is judged and saved is to 50% the start" in capsys.readouterr().err
    assert read_description(tmp_path / "fine/last")["provenance"]["start"]["share"] == 0.5
    moved = [*again, "--set", "epochs=1", "--set", "model.start_share=0", "--set", f"out={tmp_path / 'moved'}"]
    assert train(config, *moved) == 0
    start, half, whole = (
        load_checkpoint(tmp_path / name / "last").head.state_dict() for name in ("run", "fine", "moved")
    )
    learned = {
        name for name, tensor in whole.items() if tensor.is_floating_point() and not torch.equal(tensor, start[name])
    }
    assert len(learned) > 10
    for name in learned:
        torch.testing.assert_close(half[name], (start[name] + whole[name]) / 2)


def test_kill_9_and_resume_give_the_curve_of_an_undisturbed_training(config, tmp_path):
    assert train(config, "--set", "epochs=3") == 0
    cut = tmp_path / "cut"
    running = Forked(lambda: train(config, "--set", "epochs=3", "--set", f"out={cut}"))
    assert running.readline().startswith("epoch 1/3")
    running.kill()
    assert running.wait() == -signal.SIGKILL
    done = len(log(cut))
    assert train(config, "--set", "epochs=3", "--set", f"out={cut}", "--resume") == 0
    assert done < 3
    for one, other in zip(log(tmp_path / "run"), log(cut), strict=True):
        assert one["epoch"] == other["epoch"]
        for name, value in one["losses"].items():
            assert math.isclose(value, other["losses"][name], rel_tol=1e-5)
        assert one["scores"] == pytest.approx(other["scores"], rel=1e-4, abs=1e-6)


def test_two_processes_have_the_curve_of_one_within_noise(config, tmp_path):
    """Without a GPU each process normalises by its own half of the batch, so the first steps differ a little."""
    assert train(config, "--set", "epochs=2") == 0
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words += ["-m", "shelfvision", "train", "detector", "--config", str(config), *TINY]
    words += ["--set", f"out={tmp_path / 'two'}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1/2") == 1  # only the first process speaks
    for one, two in zip(log(tmp_path / "run"), log(tmp_path / "two"), strict=True):
        assert math.isclose(sum(one["losses"].values()), sum(two["losses"].values()), rel_tol=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["data.train.0.path=nowhere"], "error: nowhere: no such file or folder"),
        (["labels=[can]"], "has boxes of product"),
        (["data.train.0.labels={produckt: x}"], "data.train[0].labels: "),
        (["model.backbone=resnet1"], "backbone 'resnet1': unknown; choose csp_nano"),
        (["model.start=nowhere"], "nowhere: no checkpoint there"),
        (["device=cuda:7"], "device: cuda:7 is wanted"),
        (["device=gpu"], "device: expected auto, cpu, cuda or cuda:1, found 'gpu'"),
        (["precision=fp16"], "precision: fp16 needs a GPU"),
        (["data.hold_out=900"], "data.hold_out: no class has 900 pictures"),
        (["epochs=none"], "epochs: expected a whole number"),
    ],
)
def test_what_cannot_be_trained_is_one_clear_line(config, changes, message, capsys):
    words = [word for change in changes for word in ("--set", change)]
    assert train(config, *words) == 1
    err = capsys.readouterr().err
    assert message in err
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback" not in err


def test_a_broken_picture_stops_with_its_name(config, tmp_path, stills, capsys):
    data = tmp_path / "broken"
    (data / "images").mkdir(parents=True)
    for path in stills.glob("images/*"):
        (data / "images" / path.name).write_bytes(path.read_bytes())
    (data / "annotations.json").write_bytes((stills / "annotations.json").read_bytes())
    victim = min(data.glob("images/*"))
    victim.write_bytes(victim.read_bytes()[:200])
    for workers in (0, 1):
        words = ["--set", f"data.train.0.path={data}", "--set", f"workers={workers}"]
        assert train(config, *words, "--set", f"out={tmp_path / str(workers)}") == 1
        err = capsys.readouterr().err
        assert victim.name in err
        assert "Traceback" not in err


def test_a_folder_that_holds_a_training_is_kept(config, capsys):
    assert train(config, "--set", "epochs=1") == 0
    assert train(config, "--set", "epochs=1") == 1
    assert "holds a training already; go on with --resume" in capsys.readouterr().err
    assert train(config, "--set", "epochs=1", "--resume") == 0
    assert "1 of 1 epochs are done" in capsys.readouterr().err


def test_a_full_disk_while_saving_is_one_clear_line_and_keeps_the_checkpoint(config, tmp_path, capsys):
    assert train(config, "--set", "epochs=2") == 0
    kept = {path: path.read_bytes() for path in (tmp_path / "run/last").iterdir()}
    (tmp_path / "run/state.safetensors").unlink()
    capsys.readouterr()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        assert train(config, "--set", "epochs=2", "--resume") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    err = capsys.readouterr().err
    assert "cannot be written" in err
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in (tmp_path / "run/last").iterdir()} == kept
