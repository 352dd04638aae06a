"""The training loop with a toy task: what it keeps, how it resumes, when it stops."""

import functools
import json
import math
import os
import resource
import signal
import socket
import sys
from contextlib import contextmanager

import pytest
import torch

from shelfvision.data.augment_settings import AUGMENT_OFF
from shelfvision.data.loader import training_loader
from shelfvision.errors import TrainingError
from shelfvision.learn.distributed import join_processes
from tests.data.builders import shelf
from tests.forked import Forked
from tests.learn.toy import CurveTask, log, train


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def losses(out):
    return [(line["epoch"], line["losses"], line["scores"]) for line in log(out)]


def weights(out, name="last"):
    return json.loads((out / name / "model.json").read_text())["weights"]


def test_the_loss_falls_and_every_epoch_has_a_line(tmp_path):
    outcome, reports = train(tmp_path / "run", epochs=8)
    assert (outcome.epochs, outcome.signal) == (8, 0)
    lines = log(tmp_path / "run")
    assert [line["epoch"] for line in lines] == list(range(1, 9))
    assert lines[-1]["losses"]["square"] < 0.7 * lines[0]["losses"]["square"]
    assert set(lines[0]["losses"]) == {"square", "absolute"}
    assert lines[0]["scores"]["undefined"] is None
    assert reports[-1].best == outcome.best == max(line["scores"]["fit"] for line in lines)
    assert list((tmp_path / "run/tensorboard").iterdir())


def test_the_same_seed_gives_the_same_training(tmp_path):
    train(tmp_path / "one")
    train(tmp_path / "two")
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


def test_another_seed_draws_other_dropout(tmp_path):
    train(tmp_path / "one")
    train(tmp_path / "two", seed=1)
    assert losses(tmp_path / "one") != losses(tmp_path / "two")


def test_checkpoints_hold_the_averaged_weights_and_say_where_they_come_from(tmp_path):
    task = CurveTask()
    train(tmp_path / "run", task=task)
    kept = weights(tmp_path / "run")["head.weight"]
    assert not torch.allclose(torch.tensor(kept), task.model.head.weight)
    facts = json.loads((tmp_path / "run/best/model.json").read_text())["facts"]
    assert facts["from"] == "toy"
    assert facts["scores"]["fit"] == max(line["scores"]["fit"] for line in log(tmp_path / "run"))


def test_without_an_average_the_weights_themselves_are_kept(tmp_path):
    task = CurveTask()
    train(tmp_path / "run", task=task, ema_decay=0)
    assert weights(tmp_path / "run")["head.weight"] == task.model.head.weight.tolist()


@pytest.mark.parametrize("ema_decay", [0, 0.9])
def test_of_the_start_a_share_is_kept(tmp_path, ema_decay):
    """Statistics as well as weights; a start share of a quarter is mixed with what training alone would keep."""
    start = {name: tensor.clone() for name, tensor in CurveTask().model.state_dict().items()}
    train(tmp_path / "all", ema_decay=ema_decay)
    train(tmp_path / "part", ema_decay=ema_decay, start_share=0.25)
    learned, kept = weights(tmp_path / "all"), weights(tmp_path / "part")
    for name, tensor in start.items():
        if tensor.is_floating_point():
            expected = 0.25 * tensor + 0.75 * torch.tensor(learned[name])
            torch.testing.assert_close(torch.tensor(kept[name]), expected)
            assert name.endswith("running_var") or not torch.allclose(tensor, expected), name
    assert kept["backbone.1.num_batches_tracked"] == learned["backbone.1.num_batches_tracked"] == 24


def test_a_training_that_goes_on_mixes_in_what_it_once_began_with(tmp_path):
    """Even when what lies where the start was is another one by now."""
    train(tmp_path / "whole", start_share=0.5)

    def stop(epoch, step):
        if (epoch, step) == (3, 2):
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(tmp_path / "cut", start_share=0.5, before=stop)
    other = CurveTask()
    with torch.no_grad():
        other.model.head.weight.fill_(7.0)
    train(tmp_path / "cut", task=other, start_share=0.5, resume=True)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_training_stops_when_nothing_gets_better(tmp_path):
    task = CurveTask()
    task.scores = [0.1, 0.3, 0.2, 0.3, 0.25, 0.9]
    outcome, _ = train(tmp_path / "run", task=task, epochs=6, patience=3)
    assert (outcome.epochs, outcome.best, outcome.best_epoch) == (5, 0.3, 2)
    again, reports = train(tmp_path / "run", epochs=6, patience=3, resume=True)
    assert (again.epochs, reports) == (5, [])  # resuming a training that has stopped does nothing


@pytest.mark.parametrize("first", [False, True])
def test_only_an_evaluation_stops_a_training_early(tmp_path, first):
    task = CurveTask()
    task.scores = [0.1, 0.2, 0.3, 0.25]
    outcome, _ = train(tmp_path / "run", task=task, epochs=20, patience=2, evaluate_every=3, evaluate_first=first)
    judged = [line["epoch"] for line in log(tmp_path / "run") if line["scores"]]
    assert outcome.epochs == judged[-1] == (9 if first else 12)
    assert (outcome.best, outcome.best_epoch) == (0.3, 6 if first else 9)


def test_the_start_is_the_best_when_training_only_hurts(tmp_path):
    task = CurveTask()
    task.scores = [0.5, 0.4, 0.3]
    outcome, reports = train(tmp_path / "run", task=task, epochs=2, evaluate_first=True)
    assert (outcome.best, outcome.best_epoch) == (0.5, 0)
    assert [report.epoch for report in reports] == [0, 1, 2]
    assert weights(tmp_path / "run", "best")["head.weight"] == CurveTask().model.head.weight.tolist()


def test_evaluation_now_and_then_and_always_at_the_end(tmp_path):
    train(tmp_path / "run", epochs=5, evaluate_every=2)
    assert [line["epoch"] for line in log(tmp_path / "run") if line["scores"]] == [2, 4, 5]


@pytest.mark.parametrize("part", ["square", "absolute"])
def test_a_loss_that_is_not_finite_stops_and_names_the_part(tmp_path, part):
    with pytest.raises(TrainingError, match=rf"epoch 2, step 3: the loss part '{part}' is not finite .*lower lr"):
        train(tmp_path / "run", task=CurveTask(poison=(9, part)))
    assert len(log(tmp_path / "run")) == 1
    outcome, _ = train(tmp_path / "run", resume=True)
    assert outcome.epochs == 4


def test_an_error_in_mid_epoch_loses_that_epoch_only_and_the_curve_is_the_same(tmp_path):
    train(tmp_path / "whole")

    def fail(epoch, step):
        if (epoch, step) == (3, 2):
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(tmp_path / "cut", before=fail)
    done, reports = train(tmp_path / "cut", resume=True)
    assert [report.epoch for report in reports] == [3, 4]
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert done.best == max(line["scores"]["fit"] for line in log(tmp_path / "whole"))


class LockStep:
    """The toy in a process of its own that takes a step when told to."""

    def __init__(self, out, **options):
        def before(epoch, step):
            sys.stdout.write(f"{epoch} {step}\n")
            sys.stdin.readline()

        def work():
            outcome, _ = train(out, before=before, **options)
            return 128 + outcome.signal if outcome.signal else 0

        self.child = Forked(work)

    def run_until(self, epoch, step):
        """Let it go on until it is about to take this step."""
        while self.child.readline() != f"{epoch} {step}\n":
            self.child.tell()

    def run_on(self):
        self.child.tell("\n" * 1000)
        return self.child.wait()


def test_kill_9_in_mid_epoch_and_resume_give_the_curve_of_an_undisturbed_run(tmp_path):
    train(tmp_path / "whole")
    first = LockStep(tmp_path / "cut")
    first.run_until(2, 4)
    first.child.kill()
    assert first.child.wait() == -signal.SIGKILL
    assert [line["epoch"] for line in log(tmp_path / "cut")] == [1]
    assert LockStep(tmp_path / "cut", resume=True).run_on() == 0
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_ctrl_c_keeps_the_steps_of_the_epoch_and_exits_130(tmp_path):
    """Resumed in mid-epoch: only the steps that are left are taken, and the curve is the same."""
    train(tmp_path / "whole")
    first = LockStep(tmp_path / "cut")
    first.run_until(3, 2)
    first.child.kill(signal.SIGINT)
    assert first.run_on() == 130
    steps = []
    _, reports = train(tmp_path / "cut", resume=True, before=lambda *at: steps.append(at))
    assert [report.epoch for report in reports] == [3, 4]
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_a_signal_to_the_whole_group_of_processes_loses_nothing(tmp_path):
    """As torchrun sends it: those that prepare pictures get it too, and the trainer still needs them."""
    train(tmp_path / "whole")
    pictures = shelf(tmp_path / "pictures", 9)

    def before(epoch, step):
        if (epoch, step) == (2, 3):
            loader = training_loader(pictures, size=32, batch=1, augment=AUGMENT_OFF, seed=0, epoch=epoch, workers=2)
            batches = iter(loader)
            next(batches)
            sys.stdout.write("they work\n")
            sys.stdin.readline()
            assert len(list(batches)) == 8

    def work():
        os.setpgid(0, 0)
        outcome, _ = train(tmp_path / "cut", before=before)
        return 128 + outcome.signal

    trainer = Forked(work)
    assert trainer.readline() == "they work\n"
    os.killpg(trainer.pid, signal.SIGTERM)
    trainer.tell()
    assert trainer.wait() == 143
    train(tmp_path / "cut", resume=True)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_resuming_with_other_settings_is_refused_by_name(tmp_path):
    train(tmp_path / "run", epochs=2)
    with pytest.raises(TrainingError, match=r"other settings: lr \(was 0.05, is 0.01\); resume with the same"):
        train(tmp_path / "run", epochs=2, lr=0.01, resume=True)


def test_a_folder_that_holds_a_training_is_not_written_over(tmp_path):
    train(tmp_path / "run", epochs=1)
    with pytest.raises(TrainingError, match="holds a training already; go on with --resume"):
        train(tmp_path / "run", epochs=1)


def test_resuming_where_nothing_is_yet_begins_anew(tmp_path):
    outcome, _ = train(tmp_path / "run", epochs=1, resume=True)
    assert outcome.epochs == 1


def test_a_training_killed_before_its_first_state_begins_anew(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/log.jsonl").write_text('{"epoch": 1}\n{"epo')
    train(tmp_path / "run", epochs=2, resume=True)
    assert [line["epoch"] for line in log(tmp_path / "run")] == [1, 2]


def test_what_is_told_of_an_epoch_is_saved_already(tmp_path):
    """Killed as soon as an epoch is told, nothing of it is lost."""

    def stop(epoch, step):
        if (epoch, step) == (2, 0):
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "run", before=stop)
    _, reports = train(tmp_path / "run", resume=True)
    assert reports[0].epoch == 2


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    def intrude(epoch, step):
        if (epoch, step) == (2, 0):
            train(tmp_path / "run", resume=True)

    with pytest.raises(TrainingError, match="is training into it"):
        train(tmp_path / "run", before=intrude)


@contextmanager
def largest_file(limit):
    """Within the block no file can grow beyond ``limit`` bytes, which is refused as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("limit", "what"), [(1500, "the checkpoint"), (3500, "the training state")])
def test_a_full_disk_is_one_clear_error_and_what_was_saved_stays(tmp_path, limit, what):
    """At the smaller limit the checkpoint does not fit, at the larger one the state."""
    train(tmp_path / "run")
    whole = losses(tmp_path / "run")
    cut = tmp_path / "cut"

    def stop(epoch, step):
        if (epoch, step) == (3, 0):
            raise RuntimeError("pause")

    with pytest.raises(RuntimeError, match="pause"):
        train(cut, before=stop)
    kept = {path: path.read_bytes() for path in cut.rglob("*") if path.name in {"model.json", "state.safetensors"}}
    assert len(kept) == 3
    with largest_file(limit), pytest.raises(TrainingError, match=rf"{what}.* cannot be written: .*go on with --resume"):
        train(cut, resume=True)
    intact = [path for path in kept if what == "the checkpoint" or path.name == "state.safetensors"]
    assert all(path.read_bytes() == kept[path] for path in intact)
    assert not list(cut.rglob("*.part"))
    train(cut, resume=True)
    assert losses(cut) == whole


def test_a_damaged_state_is_one_clear_error(tmp_path):
    train(tmp_path / "run", epochs=1)
    state = tmp_path / "run/state.safetensors"
    data = state.read_bytes()
    for broken in (b"", data[:100], b"\xff" * 100, data[:-10]):
        state.write_bytes(broken)
        with pytest.raises(TrainingError, match=r"state.safetensors: is damaged"):
            train(tmp_path / "run", epochs=1, resume=True)


def test_the_state_of_another_network_is_refused(tmp_path):
    train(tmp_path / "run", epochs=1)
    with pytest.raises(TrainingError, match="state of another network"):
        train(tmp_path / "run", epochs=1, task=CurveTask(noisy=False), resume=True)


@pytest.fixture
def _two_processes(monkeypatch):
    """The environment in which torchrun starts two trainers, but for their ranks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MASTER_PORT", str(server.getsockname()[1]))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("WORLD_SIZE", "2")


@pytest.mark.usefixtures("_two_processes")
def test_two_processes_have_the_curve_of_one(tmp_path):
    """Same batches, each split in two, gradients averaged; without batch statistics only rounding differs."""

    def work(rank):
        os.environ["RANK"] = str(rank)
        with join_processes("cpu") as processes:
            train(tmp_path / "two", task=CurveTask(noisy=False), processes=processes)
        return 0

    children = [Forked(functools.partial(work, rank)) for rank in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    train(tmp_path / "one", task=CurveTask(noisy=False))
    for one, two in zip(log(tmp_path / "one"), log(tmp_path / "two"), strict=True):
        for name, value in one["losses"].items():
            assert math.isclose(two["losses"][name], value, rel_tol=1e-4), name
        assert math.isclose(two["scores"]["fit"], one["scores"]["fit"], rel_tol=1e-3)


@pytest.mark.usefixtures("_two_processes")
def test_processes_that_go_on_from_different_places_are_told_so(tmp_path):
    """On two machines, each with a folder of its own, only the first has the state."""

    def cut(epoch, _step):
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "host0", before=cut)

    def work(rank):
        os.environ["RANK"] = str(rank)
        with join_processes("cpu") as processes:
            try:
                train(tmp_path / f"host{rank}", processes=processes, resume=True)
            except TrainingError as error:
                return 7 if "put out on a shared disk" in str(error) else 8
        return 0

    children = [Forked(functools.partial(work, rank)) for rank in range(2)]
    assert [child.wait() for child in children] == [7, 7]


@pytest.mark.usefixtures("_two_processes")
def test_a_signal_stops_all_processes_at_the_same_step(tmp_path):
    """One of two gets it: both end, and the training can be resumed by one alone."""

    def work(rank):
        os.environ["RANK"] = str(rank)

        def before(epoch, step):
            if rank == 1 and (epoch, step) == (2, 3):
                os.kill(os.getpid(), signal.SIGTERM)

        with join_processes("cpu") as processes:
            outcome, _ = train(tmp_path / "two", processes=processes, before=before)
        return outcome.signal

    children = [Forked(functools.partial(work, rank)) for rank in range(2)]
    assert [child.wait() for child in children] == [signal.SIGTERM, signal.SIGTERM]
    steps = []
    train(tmp_path / "two", resume=True, before=lambda *at: steps.append(at))
    assert [line["epoch"] for line in log(tmp_path / "two")] == [1, 2, 3, 4]
    assert steps[:5] == [(2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]  # passed over up to the fourth
