"""Prints the reference page of training settings from the models; ``make docs`` keeps it in ``docs``."""

from __future__ import annotations

import sys

from shelfvision.learn.train_settings import DetectorSettings
from shelfvision.site_reference import tables

_HEAD = """\
# Every key of a detector's training

Made by `make docs` from the models; do not edit by hand. `configs/train/` holds complete examples.

    shelfvision train detector --config FILE [--set key.path=value ...] [--resume]

- `--set` puts a value, written in YAML, in place of the file's: `--set lr=0.0005 --set data.train.0.path=stills`.
- `${NAME}` stands for an environment variable, `${NAME:-default}` for one that may be absent.
- Relative paths of data and start are taken from the file's folder, those after `--set` and `out` from the working
  folder.
- `out` gets `best/` and `last/` (checkpoints: weights as safetensors, the rest as JSON), `state.safetensors` for
  `--resume`, `log.jsonl` with a line an epoch, `tensorboard/`, and `settings.json`. A training that is killed loses the
  epoch under way at most; Ctrl-C and SIGTERM lose nothing. The resumed curve is that of an undisturbed training.
- Several processes, one a GPU: `torchrun --standalone --nproc-per-node 4 -m shelfvision train detector --config FILE`.
  `batch` counts the pictures of all processes together; it must be a multiple of their number. On several machines
  `out` must lie on a disk that they share.
- A class that a dataset does not list is neither taught nor unlearned by its pictures. Mosaic and pasting therefore
  bring together only pictures of datasets that list the same classes.
"""


def reference() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD, *tables(DetectorSettings, "")])


if __name__ == "__main__":
    sys.stdout.write(reference())
