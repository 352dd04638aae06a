"""The detector as a task: where it starts, what stays frozen, what it learns from, what it predicts."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from shelfvision.core.detections import Detections
from shelfvision.core.letterbox import Letterbox
from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.data.loader import Batch, evaluation_loader
from shelfvision.errors import ModelError, TrainingError
from shelfvision.learn import detector_start
from shelfvision.learn.detector_start import known_classes, make_start
from shelfvision.learn.detector_task import DetectorTask, scores
from shelfvision.learn.freeze import Freeze, choose_freeze, choose_start_share
from shelfvision.learn.picture_sets import PictureSet, join
from shelfvision.learn.predict import predict
from shelfvision.learn.train_settings import ModelSection
from shelfvision.models.checkpoint import load_checkpoint, save_checkpoint
from shelfvision.models.detector import Detector, DetectorConfig, Prediction

TINY = {"neck": (16, 16, 16), "head": 16}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def detector(*labels):
    return Detector(DetectorConfig(labels=labels, **TINY))


def no_pictures(count):
    raise AssertionError(f"{count} pictures were asked for")


def start(where, labels, **layout):
    return make_start(ModelSection(start=str(where), **layout), labels, seed=0, typical=no_pictures)


@pytest.fixture
def checkpoint(tmp_path):
    model = detector("product", "gap", "hand")
    for layer in model.head.levels:
        nn.init.normal_(layer.class_layer.bias)
    save_checkpoint(tmp_path / "best", model, provenance={"data": ["somewhere"]})
    return tmp_path / "best"


def test_the_same_classes_start_with_every_weight(checkpoint):
    begun = start(checkpoint, ["product", "gap", "hand"])
    source = load_checkpoint(checkpoint)
    for name, tensor in begun.model.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name]), name
    assert begun.trained == "everything"
    assert begun.provenance == {"data": ["somewhere"]}
    assert begun.notes == ("starts from best with all its weights",)


def test_other_classes_keep_the_rows_of_those_with_the_same_name(checkpoint):
    begun = start(checkpoint, ["cola", "hand", "product"])
    source = load_checkpoint(checkpoint)
    for new, old in zip(begun.model.head.levels, source.head.levels, strict=True):
        assert torch.equal(new.class_layer.weight[[1, 2]], old.class_layer.weight[[2, 0]])
        assert torch.equal(new.class_layer.bias[[1, 2]], old.class_layer.bias[[2, 0]])
        assert not torch.equal(new.class_layer.weight[0], old.class_layer.weight[1])
        assert torch.equal(new.box_layer.weight, old.box_layer.weight)
    assert begun.notes[1:] == (
        "classes kept: hand, product",
        "classes new, their rows of the class layer begin at random: cola",
        "classes left out: gap",
    )


def test_another_layout_than_that_of_the_start_is_refused(checkpoint):
    with pytest.raises(TrainingError, match=r"model.head: the start .* has 16, found 32; leave model.head out"):
        start(checkpoint, ["product"], head=32)


def test_another_activation_keeps_every_weight_and_is_told(checkpoint):
    begun = start(checkpoint, ["product", "gap", "hand"], activation="hardswish")
    source = load_checkpoint(checkpoint)
    assert begun.model.config.activation == "hardswish"
    assert begun.notes[-1] == "its activation silu becomes hardswish"
    for name, tensor in begun.model.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name]), name
    kinds = {type(module) for module in begun.model.modules()}
    assert nn.Hardswish in kinds
    assert nn.SiLU not in kinds


def test_a_start_that_is_no_checkpoint(tmp_path):
    with pytest.raises(ModelError, match="no checkpoint there"):
        start(tmp_path, ["product"])
    (tmp_path / "model.json").write_text(json.dumps({"kind": "recogniser", "version": 1}))
    with pytest.raises(ModelError, match="expected a detector"):
        known_classes(str(tmp_path))


def test_without_default_weights_the_other_starts_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(detector_start, "DEFAULT", tmp_path / "nothing")
    with pytest.raises(TrainingError, match="no default detector to start from; set it to imagenet"):
        known_classes("default")


def test_a_backbone_without_imagenet_weights_says_so():
    with pytest.raises(TrainingError, match="csp_nano has no ImageNet weights"):
        start("imagenet", ["product"], backbone="csp_nano")


def test_the_seed_decides_what_begins_at_random():
    one, same = (start("none", ["product"], **TINY).model for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True))


def pictures(folder, *, classes=("product", "gap"), count=4, source="set"):
    """Grey pictures 96x64, a white square in each, labelled as the first class."""
    made = []
    for index in range(count):
        image = np.full((64, 96, 3), 60, np.uint8)
        x, y = 8 + 5 * index, 10 + 3 * index
        image[y : y + 24, x : x + 24] = 255
        path = folder / f"{source}{index}.png"
        cv2.imwrite(str(path), image)
        box = np.array([[x, y, x + 24, y + 24]], np.float32)
        made.append(LabelledPicture(path, (96, 64), box, np.zeros(1, np.int64), np.zeros(1, np.bool_)))
    return Dataset(classes, tuple(made), Path(source))


def task(model, trained, freeze=None, judged=None):
    return DetectorTask(model, trained=trained, judged=judged, freeze=freeze or Freeze())


def batch_of(dataset, size=64):
    return next(iter(evaluation_loader(dataset, size=size, batch=len(dataset), workers=0)))


def test_frozen_stages_and_statistics_stay_as_they_came(tmp_path):
    model = detector("product", "gap")
    freeze = Freeze(stages=2, statistics=True)
    freeze.apply(model)
    one = task(model, join([pictures(tmp_path)], ["product", "gap"], [1]), freeze)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(2):
        one.train()
        sum(one.loss(batch_of(pictures(tmp_path))).values()).backward()
        optimiser.step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    frozen = ("backbone.stages.0.", "backbone.stages.1.")
    assert not {name for name in changed if name.startswith(frozen) or "running_" in name or "tracked" in name}
    for part in ("backbone.stages.2.", "neck.", "head.levels.0.class_layer", "head.levels.0.box_layer"):
        assert any(name.startswith(part) for name in changed), part


def test_frozen_stages_run_without_their_norms_and_follow_weights_that_are_loaded():
    model, freeze, x = detector("product"), Freeze(stages=2), torch.rand(1, 3, 64, 64) * 255
    ran = []
    for norm in (part for part in model.modules() if isinstance(part, nn.BatchNorm2d)):
        norm.register_forward_hook(lambda norm, *_: ran.append(norm))
    for _ in range(2):
        source = detector("product").eval()
        expected = source.stages[1](source.stages[0](x))
        model.load_state_dict(source.state_dict())
        freeze.train_mode(model)
        found = model.stages[1](model.stages[0](x))
        assert torch.allclose(found, expected, atol=1e-4 * expected.abs().max().item())
        assert ran == []
        model.stages[2](found)
        assert ran
        ran.clear()


def test_without_freezing_statistics_follow_the_pictures(tmp_path):
    model = detector("product", "gap")
    one = task(model, join([pictures(tmp_path)], ["product", "gap"], [1]))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items() if "running_mean" in name}
    one.train()
    one.loss(batch_of(pictures(tmp_path)))
    assert not any(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(
    ("pictures", "trained", "expected"),
    [
        (20, "everything", Freeze(2, statistics=True)),
        (20, "backbone", Freeze(2)),
        (20, "nothing", Freeze()),
        (200, "everything", Freeze()),
    ],
)
def test_auto_freezes_when_pictures_are_few_and_weights_are_trained(pictures, trained, expected):
    model = detector("product")
    assert choose_freeze(model, stages="auto", statistics="auto", pictures=pictures, trained=trained) == expected


@pytest.mark.parametrize(
    ("wanted", "pictures", "trained", "fresh", "expected"),
    [
        ("auto", 199, "everything", (), 0.5),
        ("auto", 200, "everything", (), 0.0),
        ("auto", 20, "everything", ("cola",), 0.0),
        ("auto", 20, "backbone", ("product",), 0.0),
        (0.3, 2000, "everything", (), 0.3),
        (0.0, 20, "nothing", ("product",), 0.0),
    ],
)
def test_auto_keeps_half_of_a_trained_start_when_pictures_are_few(wanted, pictures, trained, fresh, expected):
    assert choose_start_share(wanted, pictures=pictures, trained=trained, fresh=fresh) == expected


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        ("everything", r"model.start_share: the classes cola, tea begin at random, and 0.5 of that would stay"),
        ("backbone", r"model.start_share: neck and head begin at random, .*; set it to 0"),
    ],
)
def test_a_share_of_what_was_never_trained_is_refused(trained, message):
    with pytest.raises(TrainingError, match=message):
        choose_start_share(0.5, pictures=20, trained=trained, fresh=("cola", "tea"))


def test_more_stages_than_there_are():
    with pytest.raises(TrainingError, match=r"model.freeze: the backbone csp_nano has 5 stages, found 6"):
        choose_freeze(detector("product"), stages=6, statistics="auto", pictures=1, trained="everything")


def test_what_a_source_does_not_label_is_not_taught(tmp_path):
    """A data set of products alone says nothing about gaps: the class layer's gap row gets no gradient from it."""
    both = pictures(tmp_path, source="both")
    alone = pictures(tmp_path, classes=("product",), source="alone")
    joined = join([both, alone], ["product", "gap"], [1, 1])

    def gap_gradient(batch):
        model = detector("product", "gap")
        one = task(model, joined)
        one.train()
        sum(one.loss(batch).values()).backward()
        rows = torch.stack([level.class_layer.weight.grad.abs().sum(dim=(1, 2, 3)) for level in model.head.levels])
        assert rows[:, 0].min() > 0
        return rows[:, 1].max()

    batch = batch_of(joined.dataset)
    first = Batch(
        batch.images[:4], batch.boxes[:4], batch.labels[:4], batch.ignore[:4], batch.letterboxes[:4], (0, 1, 2, 3)
    )
    assert gap_gradient(first) > 1e-3
    second = replace(first, indices=(4, 5, 6, 7))
    assert gap_gradient(second) < 1e-6


def test_a_batch_without_boxes_reaches_every_weight(tmp_path):
    empty = pictures(tmp_path)
    none = np.zeros(0, np.int64)
    empty = Dataset(
        empty.labels,
        tuple(replace(one, xyxy=np.zeros((0, 4), np.float32), label=none, ignore=none > 0) for one in empty),
    )
    model = detector("product", "gap")
    one = task(model, join([empty], ["product", "gap"], [1]))
    one.train()
    parts = one.loss(batch_of(empty))
    assert parts["box"] == 0
    sum(parts.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_the_loss_is_exact_whatever_the_arithmetic_of_the_network(tmp_path, precision):
    model = detector("product", "gap")
    one = task(model, join([pictures(tmp_path)], ["product", "gap"], [1]))
    with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
        parts = one.loss(batch_of(pictures(tmp_path)))
    assert {part.dtype for part in parts.values()} == {torch.float32}
    assert all(torch.isfinite(part) for part in parts.values())


class Fixed(nn.Module):
    """Finds the same boxes in every picture; counts what it is shown."""

    def __init__(self, boxes, logits):
        super().__init__()
        self.register_parameter("weight", nn.Parameter(torch.zeros(1)))
        self._boxes, self._logits = torch.tensor(boxes), torch.tensor(logits)
        self.shapes = []

    def forward(self, images):
        self.shapes.append(tuple(images.shape))
        many = len(images)
        shown = self._boxes.expand(many, -1, -1), self._logits.expand(many, -1, -1)
        return Prediction(*shown, torch.zeros(self._boxes.shape[0], 2), torch.ones(self._boxes.shape[0]))


def test_predictions_are_in_pixels_of_each_picture_and_in_order(tmp_path):
    small, large = (LabelledPicture(tmp_path / f"{w}.png", (w, h), *NOTHING) for w, h in ((96, 64), (480, 960)))
    for one in (small, large):
        cv2.imwrite(str(one.path), np.zeros((one.size[1], one.size[0], 3), np.uint8))
    model = Fixed([[10.0, 20.0, 30.0, 40.0], [0.0, 0.0, 96.0, 96.0]], [[3.0, -9.0], [-9.0, 2.0]])
    found = predict(model, Dataset(("a", "b"), (small, large)), size=96, batch=1, device="cpu")
    assert model.shapes == [(1, 3, 96, 96)] * 2
    assert found[0].xyxy.tolist() == [[10, 20, 30, 40], [0, 0, 96, 64]]  # cut off at the picture's border
    assert found[1].xyxy.tolist() == [[100, 200, 300, 400], [0, 0, 480, 960]]
    assert found[0].label.tolist() == [0, 1]
    assert Letterbox((480, 960), (96, 96)).scale == 0.1


NOTHING = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))


def test_a_network_that_scores_every_point_alike_does_not_stall(tmp_path):
    """An untrained network on a large input: suppression gets no more than it can take, and the best stay."""
    one = LabelledPicture(tmp_path / "a.png", (64, 64), *NOTHING)
    cv2.imwrite(str(one.path), np.zeros((64, 64, 3), np.uint8))
    corner = torch.rand(40_000, 2, generator=torch.Generator().manual_seed(0)) * 60
    boxes = torch.cat([corner, corner + 0.01], dim=1)
    logits = torch.linspace(-4, -3, 40_000)[:, None]
    found = predict(Fixed(boxes.tolist(), logits.tolist()), Dataset(("a",), (one,)), size=64, most=50_000, device="cpu")
    assert len(found[0]) <= 20_000
    assert found[0].score[0] == pytest.approx(1 / (1 + np.exp(3)), rel=1e-3)


def test_scores_leave_out_what_the_source_does_not_label(tmp_path):
    """A found gap in pictures whose gaps are not labelled is no mistake."""
    both = pictures(tmp_path, source="both")
    joined = join([both, pictures(tmp_path, classes=("product",), source="alone")], ["product", "gap"], [1, 1])
    gap_everywhere = Fixed([[0.0, 0.0, 60.0, 40.0]], [[-20.0, 3.0]])
    one = DetectorTask(gap_everywhere, trained=joined, judged=joined, freeze=Freeze())
    told = one.evaluate(evaluation_loader(joined.dataset, size=64, batch=4, workers=0))
    assert told["map50_95"] == 0  # of products; there is no true gap
    assert np.isnan(told["ap50/gap"])
    assert isinstance(joined, PictureSet)


def test_a_class_of_one_box_does_not_choose_the_best_epoch(tmp_path):
    """A hundred products all found, the one hand missed: COCO's mean is a half, what chooses is near one."""
    boxes = np.array(
        [[10.0 * (n % 10), 10.0 * (n // 10), 10.0 * (n % 10) + 8, 10.0 * (n // 10) + 8] for n in range(101)]
    )
    labels = np.array([0] * 100 + [1], np.int64)
    shown = LabelledPicture(tmp_path / "a.png", (128, 128), boxes.astype(np.float32), labels, np.zeros(101, np.bool_))
    judged = join([Dataset(("product", "hand"), (shown,))], ["product", "hand"], [1])
    found = Detections(boxes[:100].astype(np.float32), np.full(100, 0.9, np.float32), labels[:100])
    figures = scores(judged, [found])
    assert figures["map50_95"] == pytest.approx(0.5)
    assert figures["map50_95_steady"] == pytest.approx((100 / 120) / (100 / 120 + 1 / 21))
    assert DetectorTask.goal == "map50_95_steady"
