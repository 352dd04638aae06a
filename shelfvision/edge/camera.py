"""Opens a camera by what its ``source`` names."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from shelfvision.config import CameraSection, Site
from shelfvision.edge.address import SourceKind, parse_source
from shelfvision.edge.frame import FrameSource
from shelfvision.edge.live import LiveCamera
from shelfvision.edge.simulated import SimulatedCamera
from shelfvision.edge.video_file import PlayedFile, check_readable
from shelfvision.errors import CameraError, UsageError
from shelfvision.sim.camera import parse_address


class CameraSource(FrameSource, Protocol):
    """A source that runs in real time."""

    @property
    def dropped(self) -> int:
        """Frames skipped because a newer one had come."""


def open_camera(camera: CameraSection) -> CameraSource:
    """The camera's source, in real time.

    Opening a stream happens when the first frame is asked for; its errors come from the iteration.

    Raises:
        CameraError: naming the camera: its source cannot be opened.
    """
    try:
        address = parse_source(camera.source)
        if address.kind is SourceKind.FILE:
            return PlayedFile(Path(address.location), fps=camera.fps)
        if address.kind is SourceKind.SIMULATED:
            return SimulatedCamera(address.location, fps=camera.fps)
        return LiveCamera(address, size=camera.size, fps=camera.fps)
    except CameraError as error:
        raise CameraError(f"camera {camera.id}: {error}") from None


def comes_back(camera: CameraSection) -> bool:
    """Whether a failed source may work later: streams and devices may, a missing or damaged file does not.

    Raises:
        CameraError: the source names nothing that we read.
    """
    return parse_source(camera.source).kind in {SourceKind.STREAM, SourceKind.DEVICE}


def find_camera(site: Site, camera_id: str) -> CameraSection:
    """The camera of that id.

    Raises:
        UsageError: naming the cameras that there are.
    """
    for camera in site.cameras:
        if camera.id == camera_id:
            return camera
    raise UsageError(f"no camera {camera_id!r}; the site file has {', '.join(camera.id for camera in site.cameras)}")


def check_source(camera: CameraSection) -> None:
    """Find out whether a camera's source could ever work, without opening a stream.

    Raises:
        CameraError: naming the camera: its source names nothing that we read, no such file, no such simulated store.
    """
    try:
        address = parse_source(camera.source)
        if address.kind is SourceKind.FILE:
            check_readable(Path(address.location))
        elif address.kind is SourceKind.SIMULATED:
            parse_address(address.location)
    except CameraError as error:
        raise CameraError(f"camera {camera.id}: {error}") from None
