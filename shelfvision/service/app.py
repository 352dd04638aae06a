"""The web application of the replenishment service: pages, API and live notices over one store and desk."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware

from shelfvision import __version__
from shelfvision.config import Site
from shelfvision.errors import ShelfvisionError
from shelfvision.service import queries
from shelfvision.service.access import Access
from shelfvision.service.api import PROBLEM_MODELS, api_router
from shelfvision.service.desk import Desk
from shelfvision.service.live import BEAT_SECONDS, Live
from shelfvision.service.pages import page_router
from shelfvision.service.problems import WebProblem, problem_response
from shelfvision.service.rendering import Templates
from shelfvision.service.request_guard import SECURITY_HEADERS, RequestGuard
from shelfvision.service.sessions import Sessions
from shelfvision.service.static_files import read_static_files, static_router
from shelfvision.service.store import Store
from shelfvision.service.web_context import WebContext

_log = structlog.get_logger(__name__)


def create_app(
    site: Site,
    store: Store,
    desk: Desk,
    *,
    clock: Callable[[], float] = time.time,
    broker_fault: Callable[[], str | None] = lambda: None,
    most_streams: int = 256,
    beat_seconds: float = BEAT_SECONDS,
) -> FastAPI:
    """The application; serve it with ``WebServer``.

    Args:
        site: the site file; its ``web`` section says who may log in.
        store: the service's database, open.
        desk: takes the task commands and tells of changes.
        clock: POSIX seconds.
        broker_fault: why the message broker is not connected, or None while it is.
        most_streams: how many pages may listen for changes at once.
        beat_seconds: how often a stream shows that it lives.
    """
    access = Access(site.web, Sessions(store.database) if site.web.users else None, clock)
    static = read_static_files(site.store.name or site.store.id)
    templates = Templates(site, static, login_needed=access.login_needed)
    live = Live(desk, build=static.build, most_clients=most_streams, beat_seconds=beat_seconds)
    app = FastAPI(title="shelfvision", version=__version__, docs_url=None, redoc_url=None)
    app.state.live = live
    app.state.web = WebContext(site, store, desk, access, live, templates, clock, broker_fault)
    app.add_middleware(GZipMiddleware, minimum_size=1024)
    app.add_middleware(RequestGuard, web=site.web)
    app.include_router(static_router(static))
    app.include_router(page_router)
    app.include_router(api_router)

    @app.get("/healthz", summary="Whether the service can do its work; needs no login")
    def healthz() -> dict[str, str]:
        queries.task(store, "health")  # a StoreError becomes 503
        return {"status": "ok", "broker": "connected" if broker_fault() is None else "not connected"}

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return templates.response("docs.html", now=clock(), api=app.openapi())

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation extends it
    _handle_errors(app, templates, clock)
    return app


def _schema(app: FastAPI) -> dict[str, Any]:
    """OpenAPI with the models that only error answers and bodies read by ourselves name."""
    schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for model in PROBLEM_MODELS:
        described = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= described.pop("$defs", {})
        schemas[model.__name__] = described
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None) if "requestBody" not in operation else None
    return schema


def _handle_errors(app: FastAPI, templates: Templates, clock: Callable[[], float]) -> None:
    def answer(request: Request, problem: WebProblem) -> Response:
        path = request.url.path
        wants_page = "text/html" in request.headers.get("accept", "") and not path.startswith(("/api/", "/fragments/"))
        if wants_page:
            title = HTTPStatus(problem.status).phrase
            detail = f"{problem.detail[:1].upper()}{problem.detail[1:]}."
            return templates.response(
                "fault.html",
                now=clock(),
                status=problem.status,
                headers=problem.headers,
                title=title,
                detail=detail,
            )
        return problem_response(problem.status, problem.detail, headers=problem.headers, members=problem.members)

    @app.exception_handler(WebProblem)
    def web_problem(request: Request, error: WebProblem) -> Response:
        return answer(request, error)

    @app.exception_handler(HTTPException)
    def http_exception(request: Request, error: HTTPException) -> Response:
        words = {404: "there is nothing at this address", 405: "this address does not take this method"}
        detail = words.get(error.status_code, str(error.detail))
        return answer(request, WebProblem(error.status_code, detail, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    def not_valid(request: Request, error: RequestValidationError) -> Response:
        faults = "; ".join(f"{'.'.join(str(part) for part in f['loc'])}: {f['msg']}" for f in error.errors())
        return answer(request, WebProblem(422, faults))

    @app.exception_handler(ShelfvisionError)
    def expected(request: Request, error: ShelfvisionError) -> Response:
        _log.error("request_failed", path=request.url.path, error=str(error))
        return answer(request, WebProblem(503, "the service cannot reach its database; try again soon"))

    @app.exception_handler(Exception)
    def bug(request: Request, error: Exception) -> Response:
        # the traceback is logged by the server; this answer is made outside of the request guard
        _log.error("request_crashed", path=request.url.path, error=type(error).__name__)
        return problem_response(500, "something went wrong here; it has been logged", headers=SECURITY_HEADERS)
