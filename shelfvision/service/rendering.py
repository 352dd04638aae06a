"""Jinja templates with the store's name and time zone; everything is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from shelfvision.config import Site
from shelfvision.core.events import to_utc
from shelfvision.service.static_files import StaticFiles
from shelfvision.service.time_words import clock_words, span_words

PRIVATE = {"Cache-Control": "no-store", "Vary": "Cookie"}
_TEMPLATES = Path(__file__).parent / "templates"


class Templates:
    """Renders the pages of one store."""

    def __init__(self, site: Site, static: StaticFiles, *, login_needed: bool) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._environment.globals |= {
            "store_name": site.store.name or site.store.id,
            "static": static.base,
            "build": static.build,
            "login_needed": login_needed,
            "viewer": None,
            "page": "",
        }
        self._environment.filters |= {"iso": _iso, "span": span_words, "clock": _clock(ZoneInfo(site.store.timezone))}

    def response(
        self,
        template: str,
        /,
        *,
        now: float,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A rendered template as an answer that nobody but this viewer may keep."""
        html = self._environment.get_template(template).render(now=to_utc(now), **values)
        return HTMLResponse(html, status, headers={**PRIVATE, **(headers or {})})


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _clock(zone: ZoneInfo) -> Callable[[Context, datetime], str]:
    @pass_context
    def words(context: Context, time: datetime) -> str:
        return clock_words(time, context["now"], zone)

    return words
