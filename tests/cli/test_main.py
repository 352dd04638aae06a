"""The command line as a whole: help, versions, exit codes."""

import importlib
import inspect
import os
import signal
import statistics
import subprocess
import sys
import time

import pytest

from shelfvision import __version__
from shelfvision.cli import main as command_line
from shelfvision.cli.main import COMMANDS, GROUPS, main
from shelfvision.errors import ConfigError, UsageError


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists_and_explains_itself(name, capsys):
    module, _, function = COMMANDS[name][0].partition(":")
    assert inspect.getdoc(getattr(importlib.import_module(module), function))
    assert main([*name.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: shelfvision {name} ")
    assert "--help" in out


def test_help_lists_every_command_with_one_line(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == out, "no words at all is a call for help"
    for name, (_, summary) in COMMANDS.items():
        assert name.split()[0] in out
        assert len(summary) <= 80
    for name, summary in GROUPS.items():
        assert main([name, "--help"]) == 0
        assert summary in out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"shelfvision {__version__}\n"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["wach"], "No such command 'wach'. Did you mean 'watch'? (see shelfvision --help)"),
        (["--colour"], "No such option: --colour (see shelfvision --help)"),
        (["evaluate"], "Missing command. (see shelfvision evaluate --help)"),
        (["evaluate", "events"], "(see shelfvision evaluate events --help)"),
        (["evaluate", "events", "a", "b", "--tolerance", "x"], "'--tolerance'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(words, fault, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: ")
    assert fault in err
    assert err.count("\n") == 1


@pytest.fixture
def command(monkeypatch):
    """Puts a function in place of a command and calls it."""

    def call(function):
        monkeypatch.setattr(command_line, "_load", lambda _: function)
        return main(["doctor"])

    return call


@pytest.mark.parametrize(("error", "code"), [(ConfigError("a: b\nc: d"), 1), (UsageError("a: b\nc: d"), 2)])
def test_an_expected_error_is_its_lines_and_its_exit_code(command, capsys, error, code):
    def fail():
        raise error

    assert command(fail) == code
    assert capsys.readouterr().err == "error: a: b\nerror: c: d\n"


def test_a_bug_is_a_traceback_and_exit_code_3(command, capsys):
    def fail():
        raise ZeroDivisionError("oh")

    assert command(fail) == 3
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "ZeroDivisionError: oh" in err


def test_a_library_of_an_extra_that_is_not_installed_names_the_extra(command, capsys):
    def fail():
        raise ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy.orm")

    assert command(fail) == 1
    assert capsys.readouterr().err.endswith("pip install 'shelfvision[service]'\n")


def test_a_module_that_we_forgot_is_a_bug(command):
    def fail():
        raise ModuleNotFoundError("No module named 'nonsense'", name="nonsense")

    assert command(fail) == 3


def test_what_a_command_returns_is_its_exit_code(command):
    assert command(lambda: 1) == 1
    assert command(lambda: None) == 0


def start(*words, **options):
    return subprocess.Popen([sys.executable, "-m", "shelfvision", *words], stderr=subprocess.PIPE, **options)


def test_ctrl_c_is_130_without_a_traceback(tmp_path):
    """Interrupted while it waits for a reader of a named pipe."""
    pipe = tmp_path / "events.jsonl"
    os.mkfifo(pipe)
    (tmp_path / "truth.json").write_text('{"fps": 1, "interactions": [], "empty_facing_intervals": {}}')
    process = start("evaluate", "events", str(pipe), str(tmp_path / "truth.json"))
    with pipe.open("w"):  # returns once the process has opened the pipe, and so sits in its read
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == b""


def test_a_reader_that_goes_away_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    process = start("--help", stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err == b""


def test_help_is_quick_and_imports_nothing_heavy():
    """0.3 s is the promise; the best of five is what the machine can do when it is not busy with something else."""
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "shelfvision", "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.3, f"best {min(seconds):.3f} s, median {statistics.median(seconds):.3f} s"
    script = "import sys, shelfvision.cli.main as m; m.main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stderr
    for heavy in ("numpy", "cv2", "pydantic", "rich", "structlog", "paho", "yaml"):
        assert f"'{heavy}'" not in loaded
