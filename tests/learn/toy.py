"""A task so small that the training loop itself is what takes time: a curve to be fitted."""

import json
from pathlib import Path

import torch
from torch import nn

from shelfvision.learn.distributed import Processes
from shelfvision.learn.loop import Training
from shelfvision.learn.loop_settings import LoopSettings
from shelfvision.learn.run_folder import RunFolder
from shelfvision.learn.train_state import write_whole

SAMPLES = 48


class Net(nn.Module):
    """A backbone with batch statistics and dropout, and a head."""

    def __init__(self, *, noisy=True):
        super().__init__()
        middle = [nn.BatchNorm1d(8), nn.Dropout(0.2)] if noisy else []
        self.backbone = nn.Sequential(nn.Linear(2, 8), *middle, nn.Tanh())
        self.head = nn.Linear(8, 1)

    def forward(self, points):
        return self.head(self.backbone(points))


class CurveTask:
    """Fits x*y; ``poison`` names (step, part) at which the loss is not finite."""

    goal = "fit"

    def __init__(self, *, noisy=True, poison=None):
        torch.manual_seed(3)
        self.model = Net(noisy=noisy)
        self.poison = poison
        self.seen = 0
        self.scores = None  # when set, evaluate gives these one after the other

    def train(self):
        self.model.train()

    def loss(self, batch):
        self.seen += 1
        error = self.model(batch)[:, 0] - batch.prod(dim=1)
        parts = {"square": error.square().mean(), "absolute": 0.1 * error.abs().mean()}
        if self.poison and self.poison[0] == self.seen:
            parts[self.poison[1]] = parts[self.poison[1]] * float("nan")
        return parts

    def evaluate(self, batches):
        self.model.eval()
        if self.scores is not None:
            return {"fit": self.scores.pop(0)}
        with torch.no_grad():
            errors = [(self.model(batch)[:, 0] - batch.prod(dim=1)).square().mean() for batch in batches]
        return {"fit": -float(torch.stack(errors).mean()), "undefined": float("nan")}

    def save(self, folder, facts):
        folder.mkdir(exist_ok=True)
        weights = {name: tensor.tolist() for name, tensor in self.model.state_dict().items()}
        write_whole(folder / "model.json", json.dumps({"weights": weights, "facts": facts}).encode())


class PointFeed:
    """Random points, shuffled by (seed, epoch), every process its part of each batch."""

    def __init__(self, batch, *, rank=0, world=1, before=lambda _epoch, _step: None):
        self.pictures, self._rank, self._world, self._before = batch, rank, world, before
        self.steps = SAMPLES // batch
        self._points = torch.rand((SAMPLES, 2), generator=torch.Generator().manual_seed(5)) * 2 - 1

    def training(self, epoch):
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(epoch))
        for step, chosen in enumerate(order.split(self.pictures)):
            self._before(epoch, step)
            yield self._points[chosen[self._rank :: self._world]]

    def evaluation(self):
        return self._points.split(16)


def settings(out, **changes):
    return LoopSettings(
        **{"out": out, "epochs": 4, "batch": 8, "lr": 0.05, "ema_decay": 0.9, "ema_ramp": 5, "device": "cpu"} | changes
    )


def train(out, *, task=None, resume=False, processes=None, before=None, start_share=0.0, **changes):
    """Train the toy; returns the outcome and every epoch's report."""
    wanted = settings(out, **changes)
    processes = processes or Processes()
    feed = PointFeed(wanted.batch, rank=processes.rank, world=processes.world, before=before or (lambda *_: None))
    reports = []
    with RunFolder(out, resume=resume, writes=processes.is_main) as folder:
        shaping = {"epochs": wanted.epochs, "lr": wanted.lr}
        training = Training(
            task or CurveTask(),
            feed,
            wanted,
            folder,
            processes,
            shaping=shaping,
            facts={"from": "toy"},
            start_share=start_share,
            on_epoch=reports.append,
        )
        return training.run(), reports


def log(out):
    return [json.loads(line) for line in (Path(out) / "log.jsonl").read_text().splitlines()]
