"""Site files for tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

SLOTS = [
    {"id": "left", "sku": "A", "polygon": [[4, 4], [28, 4], [28, 44], [4, 44]]},
    {"id": "right", "sku": "B", "polygon": [[36, 4], [60, 4], [60, 44], [36, 44]]},
]


def camera(
    source: str, *, name: str = "cam", size: tuple[int, int] = (64, 48), fps: float = 30, **more: Any
) -> dict[str, Any]:
    """A camera section; the slots fit the small test pictures."""
    return {"id": name, "source": source, "size": list(size), "fps": fps, "slots": SLOTS, **more}


def write_site(
    folder: Path,
    *cameras: dict[str, Any],
    broker: str = "mqtt://127.0.0.1:9",
    delivery: str = "watermark",
    **more: Any,
) -> Path:
    """A site file in ``folder``, with its outbox beside it.

    A test without a service that waits for several events wants ``delivery="broker"``: with the other one an event that
    nobody acknowledges holds up those that come seconds after it.
    """
    site = {
        "store": {"id": "shop"},
        "broker": {"url": broker},
        "device": {"id": "edge", "outbox": str(folder / "outbox.sqlite"), "delivery": delivery},
        "models": {"detector": "none"},  # a test that wants one says which
        "catalogue": [{"sku": "A", "name": "A"}, {"sku": "B", "name": "B"}],
        "cameras": list(cameras),
        **more,
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site))
    return path


def shelfvision(*words: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the real command line."""
    return subprocess.run(
        [sys.executable, "-m", "shelfvision", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
