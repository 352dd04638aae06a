"""``shelfvision doctor``: will this site work?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelfvision.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shelfvision.core.findings import Finding


def doctor(
    site_file: Annotated[Path, typer.Argument(metavar="SITE.yaml", help="The site file.")],
    seconds: Annotated[float, typer.Option(min=1, max=300, help="Wait so long for a camera's first picture.")] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Check cameras, models, broker, delivery, clock and disk of a site; one line each, exit code 1 if any fails."""
    from shelfvision.core.findings import Verdict

    found = []
    for finding in _findings(site_file, seconds):
        found.append(finding)
        if not as_json:
            print(line(finding), flush=True)
    failed = any(finding.verdict is Verdict.FAIL for finding in found)
    if as_json:
        print(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in found]}))
    if failed:
        raise typer.Exit(1)


def line(finding: Finding) -> str:
    """A finding as one line."""
    fix = f"; fix: {finding.fix}" if finding.fix else ""
    return f"{finding.verdict.value:<4}  {finding.part:<16}  {finding.text}{fix}"


def _findings(site_file: Path, seconds: float) -> Iterator[Finding]:
    from shelfvision.core.findings import Finding
    from shelfvision.edge.doctor import examine
    from shelfvision.site_file import load_site

    try:
        site = load_site(site_file)
    except ConfigError as error:
        for fault in str(error).splitlines():
            yield Finding.fail("site file", fault, "see docs/site-file.md")
        return
    yield from examine(site, camera_seconds=seconds)
