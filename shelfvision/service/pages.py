"""The pages for people, and the parts of them that the script fetches anew."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from shelfvision.core.events import to_utc
from shelfvision.service import queries
from shelfvision.service.access import Viewer, check_csrf
from shelfvision.service.problems import WebProblem
from shelfvision.service.rendering import PRIVATE
from shelfvision.service.shelf_view import ShelfView, shelf_view
from shelfvision.service.task_view import TasksView, tasks_view
from shelfvision.service.time_words import clock_words, span_words
from shelfvision.service.web_context import Known, Web, WebContext

_PAGES = {"/": "tasks", "/shelf": "shelf"}
page_router = APIRouter(include_in_schema=False)


@page_router.get("/")
@page_router.get("/shelf")
def page(request: Request, web: Web) -> Response:
    """A whole page, or the way to the login."""
    viewer = web.access.viewer(request)
    if viewer is None:
        return RedirectResponse(f"/login?{urlencode({'next': request.url.path})}", 303, headers=PRIVATE)
    name = _PAGES[request.url.path]
    return _view(web, name, f"{name}.html", viewer)


@page_router.get("/fragments/{name}")
def fragment(name: str, web: Web, viewer: Known) -> Response:
    """The live part of a page."""
    if name not in _PAGES.values():
        raise WebProblem(404, "no such part of a page")
    return _view(web, name, f"{name}_view.html", viewer)


@page_router.get("/login")
def login_page(request: Request, web: Web) -> Response:
    """The form; whoever is logged in goes on."""
    after = _own_page(request.query_params.get("next"))
    if web.access.viewer(request) is not None:
        return RedirectResponse(after, 303, headers=PRIVATE)
    return web.templates.response("login.html", now=web.clock(), next=after, name="", fault=None)


@page_router.post("/login")
async def login(request: Request, web: Web) -> Response:
    """Check name and password."""
    form = await _form(request)
    after, name = _own_page(form.get("next")), form.get("name", "").strip()[:100]
    response = RedirectResponse(after, 303, headers=PRIVATE)
    status, fault, headers = 401, "Name or password is wrong.", {}
    try:
        if await run_in_threadpool(web.access.log_in, request, response, name, form.get("password", "")[:1000]):
            return response
    except WebProblem as problem:
        status, fault, headers = problem.status, f"{problem.detail.capitalize()}.", problem.headers
    return web.templates.response(
        "login.html", now=web.clock(), status=status, headers=headers, next=after, name=name, fault=fault
    )


@page_router.post("/logout")
async def logout(request: Request, web: Web) -> Response:
    """End the login."""
    form = await _form(request)
    viewer = await run_in_threadpool(web.access.viewer, request)
    response = RedirectResponse("/login", 303, headers=PRIVATE)
    if viewer is not None:
        check_csrf(viewer, form.get("csrf"))
        await run_in_threadpool(web.access.log_out, request, response)
    return response


def _view(web: WebContext, name: str, template: str, viewer: Viewer) -> Response:
    now = web.clock()
    view: TasksView | ShelfView = _tasks(web, now, viewer) if name == "tasks" else _shelf(web, now, viewer)
    return web.templates.response(template, now=now, page=name, viewer=viewer, view=view)


def _tasks(web: WebContext, now: float, viewer: Viewer) -> TasksView:
    site = web.site
    summary = queries.summary(web.store, now)
    return tasks_view(
        queries.tasks(web.store, now),
        summary,
        viewer,
        to_utc(now),
        cameras={(site.device.id, slot.id): camera.id for camera in site.cameras for slot in camera.slots},
        warnings=service_warnings(summary, web.broker_fault(), to_utc(now), ZoneInfo(site.store.timezone)),
    )


def _shelf(web: WebContext, now: float, viewer: Viewer) -> ShelfView:
    site = web.site
    summary = queries.summary(web.store, now)
    return shelf_view(
        queries.shelf(web.store, now, timezone=site.store.timezone),
        queries.tasks(web.store, now),
        viewer,
        to_utc(now),
        facings={(site.device.id, slot.id): slot.facings for camera in site.cameras for slot in camera.slots},
        warnings=service_warnings(summary, web.broker_fault(), to_utc(now), ZoneInfo(site.store.timezone)),
    )


def service_warnings(
    summary: queries.Summary, broker_fault: str | None, now: datetime, zone: ZoneInfo
) -> tuple[str, ...]:
    """What people must know before they trust the page."""
    warnings = []
    if broker_fault is not None:
        warnings.append("The message broker is not connected. Cameras cannot report, so this page may be out of date.")
    for device in summary.devices:
        if device.status == "offline":
            since = "" if device.since is None else f" since {clock_words(device.since, now, zone)}"
            warnings.append(f"Device {device.device} is offline{since}. Its shelves are not in view.")
        if device.clock_lag_seconds is not None:
            off = span_words(abs(device.clock_lag_seconds))
            way = "behind, or its events came late" if device.clock_lag_seconds > 0 else "ahead"
            warnings.append(f"The clock of device {device.device} is {off} {way}.")
    return tuple(warnings)


def _own_page(path: str | None) -> str:
    """Where to go after the login: only to our own pages."""
    return path if path in _PAGES else "/"


async def _form(request: Request) -> dict[str, str]:
    """Fields of a form; the request guard limits the body.

    Raises:
        WebProblem: 415 when it is no form, 400 when it cannot be read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if kind != "application/x-www-form-urlencoded":
        raise WebProblem(415, "send the form as application/x-www-form-urlencoded")
    try:
        fields = parse_qs((await request.body()).decode(), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise WebProblem(400, "the form cannot be read") from None
    return {name: values[-1] for name, values in fields.items()}
