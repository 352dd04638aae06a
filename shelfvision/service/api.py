"""The REST API under /api/v1, described by /openapi.json. Errors are problem+json."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, ValidationError

from shelfvision import __version__
from shelfvision.core import strict_json
from shelfvision.core.events import Identifier, UtcTime, to_utc
from shelfvision.core.messages import Ranking, TaskCommand, TaskDocument, TaskState
from shelfvision.errors import MalformedMessageError, TaskConflictError
from shelfvision.service import queries
from shelfvision.service.problems import CONTENT_TYPE, WebProblem
from shelfvision.service.request_guard import MAX_BODY_BYTES
from shelfvision.service.web_context import Known, Web, WebContext


class Problem(BaseModel):
    """Why a request was not carried out (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="one sentence that a person understands")


class Conflict(Problem):
    """A command that lost; ``task`` is how the task stands now."""

    task: TaskDocument


class TaskList(BaseModel):
    """Tasks to do by rank, then those to order, then the 20 closed last."""

    at: UtcTime
    items: list[TaskDocument]


class Shelf(BaseModel):
    """Every camera with its slots and what is believed of them."""

    at: UtcTime
    cameras: list[queries.ShelfCamera]


class ProductList(BaseModel):
    """Every SKU of the catalogue with its popularity."""

    at: UtcTime
    items: list[queries.ProductSummary]


class Status(BaseModel):
    """The store at a glance."""

    at: UtcTime
    store: Identifier
    name: str
    version: str
    viewer: str | None = Field(description="who asks; null when there is no login")
    broker_fault: str | None = Field(description="null while the message broker is connected")
    summary: queries.Summary


def _problem(description: str, model: type[BaseModel] = Problem) -> dict[str, Any]:
    return {
        "description": description,
        "content": {CONTENT_TYPE: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}},
    }


PROBLEM_MODELS: tuple[type[BaseModel], ...] = (Problem, Conflict, TaskCommand)
_READ: dict[int | str, dict[str, Any]] = {
    401: _problem("log in first, or send name and password (HTTP Basic)"),
    503: _problem("the database cannot be read"),
}
_WRITE = _READ | {
    400: _problem("the body is not strict JSON"),
    403: _problem("another site's request, a missing CSRF token, or another person's name"),
    404: _problem("no such task"),
    409: _problem("the command lost against another one or does not fit the task's state", Conflict),
    413: _problem(f"the body is larger than {MAX_BODY_BYTES} bytes"),
    415: _problem("the body is not application/json"),
    422: _problem("the body is no task command"),
}
TaskId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="task id")]


async def read_command(request: Request) -> TaskCommand:
    """The task command in a request's body.

    Raises:
        WebProblem: 400 not strict JSON, 415 not declared as JSON, 422 no task command.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if kind != "application/json":
        raise WebProblem(415, "send the command as application/json")
    try:
        return TaskCommand.model_validate(strict_json.loads(await request.body(), max_bytes=MAX_BODY_BYTES))
    except MalformedMessageError as error:
        raise WebProblem(400, str(error)) from None
    except ValidationError as error:
        faults = [
            {"field": ".".join(str(part) for part in fault["loc"]), "detail": fault["msg"]}
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        summary = "; ".join(f"{fault['field'] or 'body'}: {fault['detail']}" for fault in faults)
        raise WebProblem(422, summary, errors=faults) from None


api_router = APIRouter(prefix="/api/v1", tags=["shelfvision"])


@api_router.get("/tasks", responses=_READ, summary="Restock tasks by rank")
def tasks(web: Web, _viewer: Known) -> TaskList:
    """Every task to do, to order, and closed lately."""
    now = web.clock()
    return TaskList(at=to_utc(now), items=queries.tasks(web.store, now))


@api_router.get("/tasks/{task_id}", responses=_READ | {404: _WRITE[404]}, summary="One task, open or closed")
def task(task_id: TaskId, web: Web, _viewer: Known) -> TaskDocument:
    """The task as it stands now."""
    return _found(web, task_id)


@api_router.post(
    "/tasks/{task_id}/commands",
    responses=_WRITE,
    summary="Claim, release, complete or reject a task",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TaskCommand"}}},
        }
    },
)
def command(
    task_id: TaskId, web: Web, viewer: Known, command: Annotated[TaskCommand, Depends(read_command)]
) -> TaskDocument:
    """A repeat with the same key gives the first result and changes nothing."""
    if web.access.login_needed and command.actor != viewer.name:
        # such as a command that a colleague left on this phone while it had no network
        raise WebProblem(403, f"this was meant to be sent by {command.actor}; you are logged in as {viewer.name}")
    before = _found(web, task_id)
    try:
        return web.desk.command(task_id, command, web.clock(), manager=viewer.is_manager)
    except TaskConflictError as error:
        current = queries.task(web.store, task_id) or before
        raise WebProblem(
            409,
            conflict_words(command, current) or str(error),
            task=current.model_dump(mode="json", exclude_none=True),
        ) from None


@api_router.get("/shelf", responses=_READ, summary="Cameras and slots with what is believed of them")
def shelf(web: Web, _viewer: Known) -> Shelf:
    """Slots hold their polygon, state, today's pick-ups and open task."""
    now = web.clock()
    return Shelf(at=to_utc(now), cameras=queries.shelf(web.store, now, timezone=web.site.store.timezone))


@api_router.get("/ranking", responses=_READ, summary="What is worth refilling first, and why")
def ranking(web: Web, _viewer: Known) -> Ranking:
    """The newest ranking; what the backroom lacks stands apart."""
    return queries.ranking(web.store, web.clock())


@api_router.get("/products", responses=_READ, summary="Popularity of every SKU")
def products(web: Web, _viewer: Known) -> ProductList:
    """Counts of today and of the last seven days."""
    now = web.clock()
    return ProductList(at=to_utc(now), items=queries.products(web.store, now, timezone=web.site.store.timezone))


@api_router.get("/status", responses=_READ, summary="The store at a glance")
def status(web: Web, viewer: Known) -> Status:
    """Availability, tasks, devices and the broker."""
    now = web.clock()
    return Status(
        at=to_utc(now),
        store=web.site.store.id,
        name=web.site.store.name,
        version=__version__,
        viewer=viewer.name if web.access.login_needed else None,
        broker_fault=web.broker_fault(),
        summary=queries.summary(web.store, now),
    )


@api_router.get(
    "/live",
    summary="Change notices as server-sent events",
    response_class=StreamingResponse,
    responses=_READ | {200: {"content": {"text/event-stream": {}}}},
)
async def live_events(request: Request, web: Web, viewer: Known) -> StreamingResponse:
    """Events: `hello`, `change` with `kinds` (tasks, shelf, ranking, status), `beat`, and `login` when it has ended."""

    async def allowed() -> bool:
        if viewer.csrf is None:  # no login session that could end
            return True
        now = await run_in_threadpool(web.access.viewer, request)
        return now is not None and now.name == viewer.name

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(web.live.open(allowed), media_type="text/event-stream", headers=headers)


def _found(web: WebContext, task_id: str) -> TaskDocument:
    found = queries.task(web.store, task_id)
    if found is None:
        raise WebProblem(404, f"task {task_id} does not exist; it may be closed long ago")
    return found


def conflict_words(command: TaskCommand, task: TaskDocument) -> str | None:
    """Why a command lost, as one colleague would say it to another; None when the plain reason says it best."""
    holder = task.claimed_by or "somebody"
    own = task.claimed_by == command.actor
    match task.state:
        case TaskState.CLAIMED if not own:
            words = f"{holder} has already claimed it"
        case TaskState.CLAIMED if command.action == "claim":
            words = "you have already claimed it"
        case TaskState.DONE:
            words = f"{'you have' if own else f'{holder} has'} already reported it done"
        case TaskState.CONFIRMED:
            words = "it is already refilled; the camera saw it"
        case TaskState.REJECTED:
            words = f"{'you have' if own else f'{holder} has'} rejected it: {task.closed_reason or 'no reason given'}"
        case TaskState.EXPIRED:
            words = "it has expired"
        case TaskState.OPEN if command.action in {"release", "complete"}:
            words = "it is open again; claim it first"
        case _:
            return None
    return words
