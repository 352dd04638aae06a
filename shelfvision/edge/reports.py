"""What a camera's process tells the agent."""

from __future__ import annotations

from dataclasses import dataclass

from shelfvision.config import CameraSection
from shelfvision.core.events import EventDraft
from shelfvision.core.messages import CameraStatus, SlotState
from shelfvision.edge.detector_client import DetectorAddress


@dataclass(frozen=True, slots=True)
class CameraJob:
    """What a camera's process has to do."""

    camera: CameraSection
    presence_window_seconds: float
    run: str  # leads every event key, so that keys stay unique when the process starts anew
    detector: DetectorAddress | None = None  # the process that detects for all cameras, if there is one


@dataclass(frozen=True, slots=True)
class CameraReport:
    """One message to the agent; any part may be absent."""

    events: tuple[EventDraft, ...] = ()
    slots: tuple[SlotState, ...] = ()
    status: CameraStatus | None = None
    fault: str | None = None  # the source will not work again: the process ends after this
