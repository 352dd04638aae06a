"""The other files in `edge/`: units that systemd understands, a compose file and a Dockerfile that fit the tree."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from shelfvision.cli.main import COMMANDS
from shelfvision.site_file import load_site

ROOT = Path(__file__).parents[2]
EDGE = ROOT / "edge"
UNITS = sorted((EDGE / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_understands_the_units(unit, tmp_path):
    """The program and the user are those of the machine, so that only the unit itself is judged."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("the program systemd-analyze is not installed")
    text = unit.read_text()
    command = re.search(
        r"^ExecStart=/opt/shelfvision/bin/shelfvision (\w+) /etc/shelfvision/site.yaml$", text, re.MULTILINE
    )
    assert command
    assert command[1] in COMMANDS
    assert "Restart=always" in text
    assert "WorkingDirectory=/var/lib/shelfvision" in text
    (tmp_path / unit.name).write_text(text.replace("/opt/shelfvision/bin/shelfvision", "/bin/true"))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)],
        check=False,
        capture_output=True,
        text=True,
    )
    ours = [line for line in result.stderr.splitlines() if unit.name in line]
    assert ours == []


def test_the_compose_file_names_files_that_are_there_or_that_the_runbook_makes():
    compose = yaml.safe_load((EDGE / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert service["restart"] == "unless-stopped"
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            ours = source.startswith("./") and not source.startswith("./store/")
            assert not ours or (EDGE / source).exists(), source
        if "build" in service:
            assert (EDGE / service["build"]["context"] / service["build"]["dockerfile"]).exists()
            assert service["command"][0] == name in COMMANDS


def test_the_dockerfile_copies_what_there_is_and_runs_without_root():
    text = (EDGE / "Dockerfile").read_text()
    ignored = (EDGE / "Dockerfile.dockerignore").read_text().splitlines()
    for copied in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for source in copied.split():
            assert (ROOT / source).exists()
            assert f"!{source}" in ignored
    assert "\nUSER shelfvision\n" in text


def test_the_site_file_of_the_runbook_is_valid(tmp_path, monkeypatch):
    (example,) = re.findall(r"```yaml\n(.+?)```", (EDGE / "README.md").read_text(), re.DOTALL)
    (tmp_path / "site.yaml").write_text(example)
    (tmp_path / "products.csv").write_text("sku,name\nTEA-01,Tea\n")
    monkeypatch.setenv("AISLE_1_PASSWORD", "x")
    assert load_site(tmp_path / "site.yaml").broker.tls


def test_the_runbook_names_every_file():
    text = (EDGE / "README.md").read_text()
    for path in EDGE.rglob("*"):
        if path.is_file() and path.name not in {"README.md", "Dockerfile.dockerignore"}:
            relative = path.relative_to(EDGE)
            assert str(relative) in text or f"{relative.parts[0]}/" in text, path
