"""What the README and its companions say is true of the tree."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from shelfvision.cli.main import COMMANDS, build_app

ROOT = Path(__file__).parents[1]
NAMES = [
    "README.md",
    "CONTRIBUTING.md",
    "edge/README.md",
    "docs/evaluating-detectors.md",
    "docs/truth-format.md",
    "training/peers/README.md",
]
PAGES = [ROOT / name for name in NAMES]


def tracked():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], check=False, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [Path(line) for line in listed.stdout.splitlines()]


def file_map():
    """Paths that the README's map names."""
    (block,) = re.findall(r"## Files\n\n```\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    parent = ""
    for line in block.splitlines():
        names = [name for name in re.split(r"\s{2,}", line.strip())[0].split() if name]
        if not line.startswith(" "):
            parent = names[0]
        for name in names:
            yield (parent + name if line.startswith(" ") else name).rstrip("/")


def test_the_file_map_names_what_there_is():
    for path in file_map():
        assert (ROOT / path).exists(), path


def test_the_file_map_leaves_nothing_out():
    """Every top-level file and folder, and every module and package at the top of shelfvision."""
    mapped = set(file_map())
    hidden_or_nearly_empty = {".gitignore", "README.md", "shelfvision/__init__.py", "shelfvision/__main__.py"}
    for path in tracked():
        parts = path.parts
        wanted = "/".join(parts[:2]) if parts[0] == "shelfvision" else parts[0]
        if wanted not in hidden_or_nearly_empty and not wanted.endswith("py.typed"):
            assert wanted in mapped, f"{path}: name {wanted} in the README's map"


def test_packages_that_the_map_calls_empty_are_empty():
    text = (ROOT / "README.md").read_text()
    for name in ("data", "models", "weights"):
        files = [path for path in tracked() if path.parts[:2] == ("shelfvision", name)]
        empty = [path.name for path in files] == ["__init__.py"]
        assert empty is (f"  {name}/" in text and bool(re.search(rf"  {name}/ +\(empty\)", text)))


def commands():
    """Every `shelfvision ...` line of code in our pages."""
    for page in PAGES:
        for line in page.read_text().splitlines():
            if found := re.search(r"^    (?:.*bin/)?shelfvision ([a-z].*)$", line):
                words = found[1].split("  #")[0]
                yield pytest.param(shlex.split(re.sub(r"[\[\]]", "", words), comments=True), id=f"{page.name}: {words}")


@pytest.mark.parametrize("words", list(commands()))
def test_commands_in_the_pages_exist_with_their_options(words):
    name = next((name for name in COMMANDS if words[: len(name.split())] == name.split()), None)
    assert name, f"no such command: {' '.join(words)}"
    command = typer.main.get_command(build_app(words))
    for part in name.split():
        command = command.commands[part]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options


def test_links_between_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "docs/site-file.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_commands_in_the_pages_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"(?:`|^    )make ([a-z]+)", page.read_text(), re.MULTILINE)) <= targets
