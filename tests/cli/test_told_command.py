"""Checkpoints and models tell how they were made, but nothing of the machine."""

import pytest

from shelfvision.cli.told_command import told_command


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["export", "runs/best", "--out", "models"], "shelfvision export runs/best --out models"),
        (["train", "--config", "/home/joe/a b.yaml"], "shelfvision train --config 'a b.yaml'"),
        (["--set", "out=/srv/joe/run", "--set", "lr=0.1"], "shelfvision --set out=run --set lr=0.1"),
        (["--set", "data.train.0.labels={a: b}"], "shelfvision --set 'data.train.0.labels={a: b}'"),
    ],
)
def test_absolute_paths_are_cut_to_their_last_part(words, told):
    assert told_command(words) == told


def test_the_words_of_the_process_are_the_default(monkeypatch):
    monkeypatch.setattr("sys.argv", ["shelfvision", "export", "/x/y"])
    assert told_command() == "shelfvision export y"
