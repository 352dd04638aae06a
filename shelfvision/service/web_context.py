"""What every route needs, found through the application's state; and the viewer of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from shelfvision.config import Site
from shelfvision.service.access import Access, Viewer
from shelfvision.service.desk import Desk
from shelfvision.service.live import Live
from shelfvision.service.rendering import Templates
from shelfvision.service.store import Store


@dataclass(frozen=True, slots=True)
class WebContext:
    """The parts of one running web application."""

    site: Site
    store: Store
    desk: Desk
    access: Access
    live: Live
    templates: Templates
    clock: Callable[[], float]  # POSIX seconds
    broker_fault: Callable[[], str | None]  # why the message broker is not connected; None while it is


def web_context(request: Request) -> WebContext:
    """The context of the application that serves a request."""
    context: WebContext = request.app.state.web
    return context


Web = Annotated[WebContext, Depends(web_context)]


def known_viewer(request: Request, web: Web) -> Viewer:
    """Who asks; see ``Access.required``."""
    return web.access.required(request)


Known = Annotated[Viewer, Depends(known_viewer)]
