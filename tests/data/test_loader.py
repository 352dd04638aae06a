"""Batches are decided by seed, epoch and rank alone, and workers end when their trainer does, not before."""

import multiprocessing
import os
import select
import signal
import sys
from contextlib import suppress

import cv2
import numpy as np
import pytest
import torch

from shelfvision.core.boxes import iou
from shelfvision.core.letterbox import PADDING
from shelfvision.data.augment import AugmentSettings
from shelfvision.data.augment_settings import AUGMENT_OFF
from shelfvision.data.dataset import Dataset
from shelfvision.data.images import read_image
from shelfvision.data.loader import evaluation_loader, training_loader
from shelfvision.data.sample import load_sample
from shelfvision.errors import DataError
from tests.data.builders import picture, save, shelf
from tests.forked import Forked

torch.set_num_threads(1)
FULL = AugmentSettings(copy_paste=0.5)


def training(dataset, **changes):
    options = {"size": 64, "batch": 4, "augment": FULL, "seed": 1, "epoch": 0, "workers": 0} | changes
    return training_loader(dataset, **options)


def same(first, second):
    return (
        first.indices == second.indices
        and first.letterboxes == second.letterboxes
        and torch.equal(first.images, second.images)
        and all(
            torch.equal(a, b)
            for name in ("boxes", "labels", "ignore")
            for a, b in zip(getattr(first, name), getattr(second, name), strict=True)
        )
    )


@pytest.mark.parametrize("kind", ["training", "evaluation"])
def test_the_number_of_workers_changes_nothing(tmp_path, kind):
    dataset = shelf(tmp_path, 9)

    def batches(workers):
        if kind == "training":
            return list(training(dataset, workers=workers, sizes=(32, 64, 96), groups=np.arange(9) % 2))
        return list(evaluation_loader(dataset, size=64, batch=4, workers=workers))

    alone, together = batches(0), batches(2)
    assert len(alone) == len(together) == 3
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))


def test_workers_begin_although_opencv_worked_in_threads_before(tmp_path):
    """Forked workers would wait for ever for threads that only the parent has."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 5)
    assert len(list(training(shelf(tmp_path, 5), workers=2))) == 2
    assert cv2.getNumThreads() == 4
    cv2.setNumThreads(before)


def test_a_loader_gives_the_same_again_and_leaves_torch_alone(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    loader = training(shelf(tmp_path, 5))
    first, again = list(loader), list(loader)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(before, torch.get_rng_state())


def test_mosaic_and_pasting_bring_pictures_of_one_group_together(tmp_path):
    """Pictures of group 0 are darker than what is put around them, those of group 1 brighter."""
    groups = np.array([0, 1, 1, 0, 1, 0])
    pictures = []
    for number, group in enumerate(groups):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((48, 64, 3), 200 * group, np.uint8))
        pictures.append(picture(path, [(4, 4, 30, 40)]))
    mixing = AUGMENT_OFF.model_copy(update={"mosaic": 1.0, "copy_paste": 1.0})
    for batch in training(Dataset(("can",), tuple(pictures)), augment=mixing, groups=groups):
        for image, index in zip(batch.images, batch.indices, strict=True):
            assert (image >= PADDING if groups[index] else image <= PADDING).all()


def test_epochs_and_seeds_differ(tmp_path):
    dataset = shelf(tmp_path, 8)
    first = list(training(dataset))
    for other in (training(dataset, epoch=1), training(dataset, seed=2)):
        assert not any(same(a, b) for a, b in zip(first, other, strict=True))


def test_two_ranks_see_together_what_one_sees(tmp_path):
    dataset = shelf(tmp_path, 10)
    alone = list(training(dataset, batch=4, sizes=(32, 64)))
    ranks = [list(training(dataset, batch=2, rank=rank, world=2, sizes=(32, 64))) for rank in (0, 1)]
    assert len(alone) == len(ranks[0]) == len(ranks[1])
    for whole, first, second in zip(alone, *ranks, strict=True):
        assert whole.indices == first.indices + second.indices
        assert torch.equal(whole.images, torch.cat([first.images, second.images]))


@pytest.mark.parametrize(("count", "batch", "world"), [(10, 4, 1), (10, 4, 2), (3, 4, 1), (3, 4, 2), (1, 8, 4)])
def test_an_epoch_shows_every_picture_in_batches_of_one_size(tmp_path, count, batch, world):
    dataset = shelf(tmp_path, count)
    loaders = [
        training(dataset, batch=batch, rank=rank, world=world, augment=AUGMENT_OFF, size=32) for rank in range(world)
    ]
    assert len({len(loader) for loader in loaders}) == 1
    batches = [list(loader) for loader in loaders]
    assert {index for listed in batches for one in listed for index in one.indices} == set(range(count))
    assert len({len(one) for listed in batches for one in listed}) == 1


def test_every_batch_has_one_of_the_sizes(tmp_path):
    dataset = shelf(tmp_path, 8)
    sides = {one.images.shape[2:] for epoch in range(4) for one in training(dataset, epoch=epoch, sizes=(32, 64))}
    assert sides == {(32, 32), (64, 64)}


def test_evaluation_keeps_order_and_brings_boxes_back(tmp_path):
    dataset = shelf(tmp_path, 5, size=(90, 61))
    batches = list(evaluation_loader(dataset, size=64, batch=2, workers=0))
    assert [index for one in batches for index in one.indices] == [0, 1, 2, 3, 4]
    assert [len(one) for one in batches] == [2, 2, 1]
    for one in batches:
        assert one.images.dtype == torch.uint8
        assert one.images.shape[1:] == (3, 64, 64)
        for place, index in enumerate(one.indices):
            truth = dataset.pictures[index]
            back = one.letterboxes[place].to_picture(one.boxes[place].numpy())
            np.testing.assert_allclose(back, truth.xyxy, atol=1e-3)
            assert one.labels[place].dtype == torch.int64
            assert one.ignore[place].dtype == torch.bool
    pixels = batches[0].images[0].permute(1, 2, 0).numpy()
    whole = cv2.resize(read_image(dataset.pictures[0].path), (64, round(61 * 64 / 90)), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(pixels[: whole.shape[0]], whole)
    assert (pixels[whole.shape[0] :] == 114).all()


def test_boxes_beyond_the_border_are_cut_and_empty_ones_left_out(tmp_path):
    path = save(tmp_path / "a.png")
    boxes = [(-5, -5, 20, 20), (10, 10, 10, 30), (30, 30, 20, 40), (50, 40, 100, 90)]
    dataset = Dataset(("can",), (picture(path, boxes),))
    (one,) = evaluation_loader(dataset, size=64, batch=1, workers=0)
    assert one.boxes[0].tolist() == [[0, 0, 20, 20], [50, 40, 64, 48]]


def test_a_large_photograph_is_decoded_smaller_for_training(tmp_path):
    """Boxes go with it, and what comes out is what full size would have given."""
    path = save(tmp_path / "a.jpg", (1601, 1203))
    labelled = picture(path, [(400, 300, 800, 900)], size=(1601, 1203))
    small, full = load_sample(labelled, side=300), load_sample(labelled)
    assert small.size == (401, 301)
    np.testing.assert_allclose(small.xyxy[0] / [401, 301, 401, 301], full.xyxy[0] / [1601, 1203, 1601, 1203], atol=1e-4)
    expected = cv2.resize(full.image, small.size, interpolation=cv2.INTER_AREA)
    assert np.abs(small.image.astype(int) - expected).mean() < 2
    png = picture(save(tmp_path / "a.png", (1601, 1203)), size=(1601, 1203))
    assert load_sample(png, side=300).size == (1601, 1203)


def test_seven_hundred_boxes_arrive(tmp_path):
    path = save(tmp_path / "a.png", (640, 640))
    boxes = [(x * 20, y * 20, x * 20 + 19, y * 20 + 19) for x in range(28) for y in range(25)]
    dataset = Dataset(("can",), (picture(path, boxes, size=(640, 640)),))
    (one,) = evaluation_loader(dataset, size=640, batch=1, workers=0)
    assert one.boxes[0].shape == (700, 4)
    assert iou(one.boxes[0].numpy(), np.array(boxes, np.float32)).max(axis=1).min() > 0.99
    (augmented,) = training(dataset, size=640, batch=1)
    assert len(augmented.boxes[0]) > 50


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_is_one_clear_error(tmp_path, workers):
    dataset = shelf(tmp_path, 3)
    dataset.pictures[1].path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"001\.png: cannot be read as a picture") as caught:
        list(evaluation_loader(dataset, size=32, batch=2, workers=workers))
    assert "\n" not in str(caught.value)


def test_a_picture_of_another_size_than_annotated_is_an_error(tmp_path):
    dataset = Dataset(("can",), (picture(save(tmp_path / "a.png", (50, 40)), [(1, 2, 3, 4)]),))
    with pytest.raises(DataError, match=r"a\.png: is 50 x 40, its annotation says 64 x 48"):
        list(training(dataset))


def test_no_pictures_to_train_on_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no pictures to train on"):
        training(Dataset(("can",), (), tmp_path))
    assert list(evaluation_loader(Dataset(("can",), (), tmp_path), size=32, batch=2, workers=0)) == []


def test_workers_leave_a_signal_to_their_whole_group_to_the_trainer(tmp_path):
    batches = iter(training(shelf(tmp_path, 9), batch=1, workers=2))
    next(batches)
    workers = multiprocessing.active_children()
    assert len(workers) == 2

    def stop_all():
        for number in (signal.SIGINT, signal.SIGTERM):
            for worker in workers:
                os.kill(worker.pid, number)
        return 0

    assert Forked(stop_all).wait() == 0
    assert len(list(batches)) == 8


def test_a_worker_ends_when_its_trainer_tells_it(tmp_path):
    """Python tells so any that are left when it exits, and waits for them."""
    batches = iter(training(shelf(tmp_path, 9), batch=1, workers=1))
    next(batches)
    (worker,) = multiprocessing.active_children()
    worker.terminate()
    worker.join(20)
    code = worker.exitcode
    worker.kill()
    assert code == 0


def test_workers_end_with_a_trainer_that_is_killed(tmp_path):
    """Even when it has not taken what they have ready, more than a pipe holds."""
    boxes = np.tile(np.array([[4, 4, 30, 40]], np.float32), (5000, 1))
    path = save(tmp_path / "a.png")
    dataset = Dataset(("can",), tuple(picture(path, boxes) for _ in range(9)))

    def work():
        batches = iter(evaluation_loader(dataset, size=64, batch=1, workers=2))
        next(batches)
        sys.stdout.write(" ".join(str(worker.pid) for worker in multiprocessing.active_children()) + "\n")
        sys.stdin.readline()
        return 0

    trainer = Forked(work)
    workers = [os.pidfd_open(int(pid)) for pid in trainer.readline().split()]
    assert len(workers) == 2
    trainer.kill()
    ended = [bool(select.select([worker], [], [], 20)[0]) for worker in workers]
    for worker in workers:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(worker, signal.SIGKILL)
        os.close(worker)
    assert trainer.wait() == -signal.SIGKILL
    assert ended == [True, True]
