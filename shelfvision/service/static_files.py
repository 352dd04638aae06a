"""Scripts, styles and icons under an address that names their content, so that browsers may keep them for ever."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Response

from shelfvision.service.app_icon import icon_png, icon_svg
from shelfvision.service.problems import WebProblem

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_SERVICE_WORKER = "service_worker.js"
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_ASK_AGAIN = {"Cache-Control": "no-cache"}


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """Everything that the page loads besides HTML, read once at start."""

    build: str  # hash over all content; part of the address
    files: dict[str, bytes]
    service_worker: bytes
    manifest: bytes

    @property
    def base(self) -> str:
        """Folder of the files on the web."""
        return f"/static/{self.build}"


def read_static_files(store_name: str) -> StaticFiles:
    """Read scripts and styles, draw the icons, and derive the build from their content."""
    files = {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}
    files["icon.svg"] = icon_svg().encode()
    for side in (180, 192, 512):
        files[f"icon-{side}.png"] = icon_png(side)
    worker = files.pop(_SERVICE_WORKER)
    # templates count too: a page kept by the service worker must go when they change
    templates = sorted((_FOLDER.parent / "templates").iterdir())
    contents = [*files.values(), worker, *(path.read_bytes() for path in templates if path.is_file())]
    build = hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()[:12]
    assets = [f"/static/{build}/{name}" for name in files if not name.endswith("512.png")]
    head = f"const BUILD = {json.dumps(build)};\nconst ASSETS = {json.dumps(assets)};\n"
    return StaticFiles(build, files, head.encode() + worker, _manifest(store_name, f"/static/{build}"))


def static_router(static: StaticFiles) -> APIRouter:
    """Routes of the files, the service worker and the web application manifest."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{build}/{name}")
    def file(build: str, name: str) -> Response:
        content = static.files.get(name)
        if content is None or build != static.build:
            raise WebProblem(404, "no such file; reload the page")
        return Response(content, media_type=_TYPES[Path(name).suffix], headers=_FOR_EVER)

    @router.get("/service-worker.js")
    def service_worker() -> Response:
        return Response(static.service_worker, media_type=_TYPES[".js"], headers=_ASK_AGAIN)

    @router.get("/manifest.webmanifest")
    def manifest() -> Response:
        return Response(static.manifest, media_type="application/manifest+json", headers=_ASK_AGAIN)

    @router.get("/favicon.ico")
    def favicon() -> Response:
        return Response(static.files["icon-192.png"], media_type="image/png", headers=_ASK_AGAIN)

    return router


def _manifest(store_name: str, base: str) -> bytes:
    return json.dumps(
        {
            "id": "/",
            "name": f"{store_name} shelves",
            "short_name": "Shelves",
            "description": "What to refill next, and how the shelves stand.",
            "start_url": "/",
            "scope": "/",
            "display": "standalone",
            "background_color": "#f3f5f4",
            "theme_color": "#0b5d4d",
            "icons": [
                {"src": f"{base}/icon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": "any"},
                {"src": f"{base}/icon-192.png", "sizes": "192x192", "type": "image/png", "purpose": "any"},
                {"src": f"{base}/icon-512.png", "sizes": "512x512", "type": "image/png", "purpose": "any maskable"},
            ],
            "shortcuts": [
                {"name": "Tasks", "url": "/"},
                {"name": "Shelf", "url": "/shelf"},
            ],
        },
        ensure_ascii=False,
    ).encode()
