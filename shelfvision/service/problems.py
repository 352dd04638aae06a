"""Errors over HTTP: problem+json (RFC 9457) for programs, one clear page for people."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

CONTENT_TYPE = "application/problem+json"


class WebProblem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """An answer other than the one asked for; ``detail`` is one sentence that a person understands."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members


def problem_response(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, members: Mapping[str, Any] | None = None
) -> JSONResponse:
    """The problem as JSON; ``members`` are extension members such as the current task."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(
        body | dict(members or {}),
        status_code=status,
        media_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
