"""What every request and answer passes: host and origin checks, a size limit, security headers."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shelfvision.config import WebSection
from shelfvision.service.access import SAFE_METHODS, is_loopback
from shelfvision.service.problems import WebProblem, problem_response

MAX_BODY_BYTES = 65_536
# Nothing from outside, no inline script or style.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "worker-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not no-referrer: that would send `Origin: null` with our own forms
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_HSTS = "max-age=31536000"


class RequestGuard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, web: WebSection, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._web = web
        self._max_body_bytes = max_body_bytes
        self._public = urlsplit(web.public_url) if web.public_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, limit its body and add headers to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        secure = scope["scheme"] == "https" or self._public is not None

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if secure:
                    headers.setdefault("Strict-Transport-Security", _HSTS)
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            self._check_origin(scope, headers)
            self._check_length(headers)
        except WebProblem as problem:
            response = problem_response(problem.status, problem.detail, headers={"Connection": "close"})
            await response(scope, receive, send_with_headers)
            return
        await self._app(scope, self._counted(receive), send_with_headers)

    def _check_host(self, headers: Headers) -> None:
        """Without login only loopback names: a foreign name that resolves to us is DNS rebinding."""
        if self._web.users:
            return
        host = headers.get("host", "")
        if not is_loopback(_host_name(host)):
            raise WebProblem(421, f"this page answers only as localhost or 127.0.0.1, not as {host[:100]!r}")

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """A page of another site must not change anything here."""
        if scope["method"] in SAFE_METHODS:
            return
        origin = headers.get("origin")
        if origin is None:
            if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
                raise WebProblem(403, "the request comes from another site")
            return
        own = {(scope["scheme"], headers.get("host", "").casefold())}
        if self._public is not None:
            own.add((self._public.scheme, self._public.netloc.casefold()))
        parts = urlsplit(origin)
        if (parts.scheme, parts.netloc.casefold()) not in own:
            raise WebProblem(403, f"the request comes from another site, {origin[:100]!r}")

    def _check_length(self, headers: Headers) -> None:
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._max_body_bytes:
            raise self._too_large()

    def _counted(self, receive: Receive) -> Receive:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> WebProblem:
        return WebProblem(413, f"the request is larger than {self._max_body_bytes} bytes")


def _host_name(host: str) -> str:
    """The Host header without its port; IPv6 addresses without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
