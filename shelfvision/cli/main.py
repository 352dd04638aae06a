"""The ``shelfvision`` command: finds the subcommand asked for, runs it and turns errors into exit codes.

Exit codes: 0 done, 1 an expected error (``ShelfvisionError``), 2 wrong usage, 130 Ctrl-C, 3 a bug (with traceback).
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from shelfvision import __version__
from shelfvision.errors import ShelfvisionError

# command -> (where its function stands, one line of help). The function is imported only when its command runs, so
# that `--help` stays quick. Two words are a group and its subcommand.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": (
        "shelfvision.cli.demo:demo",
        "Show everything on this machine: cameras, broker, agent, service, web page.",
    ),
    "watch": ("shelfvision.cli.watch:watch", "Run the edge agent: cameras in, events out over MQTT."),
    "replay": ("shelfvision.cli.replay:replay", "Run a recorded video through the agent's reasoning, offline."),
    "replenish": ("shelfvision.cli.replenish:replenish", "Run the replenishment service with its web page."),
    "password": ("shelfvision.cli.password:password", "Hash a password for a site file's web users."),
    "simulate images": ("shelfvision.cli.simulate:images", "Render stills of shelves with exact boxes."),
    "simulate video": (
        "shelfvision.cli.simulate_footage:video",
        "Record footage of named stores with the truth about it.",
    ),
    "simulate clips": (
        "shelfvision.cli.simulate_footage:clips",
        "Cut labelled clips for the action classifier.",
    ),
    "simulate demand": (
        "shelfvision.cli.simulate_demand:demand",
        "Simulate what shoppers want, take and do not find.",
    ),
    "detect": ("shelfvision.cli.detect:detect", "Find products, gaps and hands in pictures."),
    "calibrate": ("shelfvision.cli.calibrate:calibrate", "Propose a site file from a picture of the shelf."),
    "export": ("shelfvision.cli.export:export", "Write a checkpoint as ONNX with its sidecar, for devices."),
    "train detector": ("shelfvision.cli.train:detector", "Train a product detector on labelled pictures."),
    "evaluate detector": (
        "shelfvision.cli.evaluate_detector:detector",
        "Judge a detector on labelled pictures.",
    ),
    "data check": ("shelfvision.cli.data:check", "Find what is wrong with a dataset before training on it."),
    "data stats": ("shelfvision.cli.data:stats", "Figures of a dataset: boxes, sizes, classes."),
    "data convert": ("shelfvision.cli.data:convert", "Write a dataset in another format, classes merged."),
    "evaluate events": ("shelfvision.cli.evaluate:events", "Compare an events file with a truth file."),
    "bench detector": ("shelfvision.cli.bench_detector:detector", "Measure the detector beside others, in one run."),
    "bench simulator": ("shelfvision.cli.bench_simulator:simulator", "Measure how fast stills and footage are made."),
    "bench events": ("shelfvision.cli.bench:events", "Measure the event path: outbox, broker, service."),
    "chaos": ("shelfvision.cli.chaos:chaos", "Kill broker, agent and service at random and count what is lost."),
    "doctor": ("shelfvision.cli.doctor:doctor", "Check cameras, models, broker, clock and disk of a site."),
}
GROUPS = {
    "data": "Datasets of pictures: check, describe, convert.",
    "train": "Fit networks to labelled pictures.",
    "evaluate": "Measure how good the results are.",
    "bench": "Measure how fast the parts are.",
    "simulate": "Render shelves and footage, simulate demand; with exact truth.",
}
# what a module that is not there belongs to: the base install has neither web nor SQL nor training libraries
EXTRAS = {
    **dict.fromkeys(["argon2", "fastapi", "jinja2", "multipart", "sqlalchemy", "starlette", "uvicorn"], "service"),
    **dict.fromkeys(
        ["torch", "torchvision", "timm", "albumentations", "faster_coco_eval", "onnx", "safetensors"], "train"
    ),
    "iotcore": "demo",
    "openvino": "openvino",
    "psycopg": "postgres",
}
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: words after ``shelfvision``; those of the process when absent.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # the reader of our output has gone (`| head`); keep the interpreter from complaining when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last frame: every error is shown and becomes an exit code
        return _report(error)
    return code


def build_app(words: Sequence[str] = ()) -> typer.Typer:
    """The typer application with every command's help, and the real function of the one that ``words`` call."""
    app = typer.Typer(
        name="shelfvision",
        help="Watches retail shelves through ordinary cameras: stockouts, pick-ups and ranked restock tasks.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_SETTINGS,
    )
    app.callback(invoke_without_command=True)(_root)
    groups: dict[str, typer.Typer] = {}
    asked = [word for word in words if not word.startswith("-")]
    for name, (target, summary) in COMMANDS.items():
        *group, command = name.split()
        parent = app
        if group:
            (group_name,) = group
            if group_name not in groups:
                groups[group_name] = typer.Typer(rich_markup_mode=None, context_settings=_SETTINGS)
                groups[group_name].callback()(_group)
                app.add_typer(groups[group_name], name=group_name, help=GROUPS[group_name])
            parent = groups[group_name]
        wanted = asked[: len(name.split())] == name.split()
        function = _load(target) if wanted else _unloaded
        parent.command(command, help=None if wanted else summary, short_help=summary, context_settings=_SETTINGS)(
            function
        )
    return app


def _run(words: list[str]) -> int:
    command = typer.main.get_command(build_app(words))
    code = command.main(args=words, prog_name="shelfvision", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _load(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        from shelfvision.logs import configure_logs

        configure_logs()
        return function(*args, **options)

    return run


def _unloaded() -> None:
    raise AssertionError("a command ran that was not named first on the command line")


def _version(asked: bool) -> None:
    if asked:
        print(f"shelfvision {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def _group() -> None:
    """A group's own callback, so that a group of one command stays a group."""


def _report(error: Exception) -> int:
    """Say what went wrong on stderr; the exit code that belongs to it."""
    if isinstance(error, ShelfvisionError):
        _say(str(error))
        return error.exit_code
    if isinstance(error, ModuleNotFoundError) and (extra := EXTRAS.get((error.name or "").partition(".")[0])):
        _say(f"this command needs {error.name}, which is not installed: pip install 'shelfvision[{extra}]'")
        return 1
    # typer exports no common base of its usage errors in all the versions that we accept
    describe = getattr(error, "format_message", None)
    if describe is not None:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "shelfvision"
        _say(f"{' '.join(describe().split())} (see {path} --help)")
        return int(getattr(error, "exit_code", 2))
    traceback.print_exception(error)
    return 3


def _say(message: str) -> None:
    for line in message.splitlines() or [""]:
        print(f"error: {line}", file=sys.stderr)
