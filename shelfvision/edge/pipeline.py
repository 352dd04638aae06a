"""One camera's frames become evidence, slot states and events. Deterministic: time comes with the frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from shelfvision.core.events import EventDraft
from shelfvision.core.messages import SlotState
from shelfvision.core.planogram import CameraPlan
from shelfvision.edge.frame import Frame


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one frame changed and what is believed after it."""

    events: tuple[EventDraft, ...]
    slots: tuple[SlotState, ...]  # one a slot, in the plan's order
    camera_fault: str | None = None  # "moved", "frozen", "resized" while the picture cannot be used
    foreground: tuple[tuple[float, float, float, float], ...] = ()  # boxes in front of the shelf, pixels of the frame
    notes: dict[str, str] = field(default_factory=dict)  # slot id to what happens there now, for annotation


class CameraPipeline:
    """The reasoning of one camera, from pixels to events."""

    def __init__(self, plan: CameraPlan, *, presence_window_seconds: float = 300) -> None:
        self.plan = plan
        self.presence_window_seconds = presence_window_seconds

    def step(self, frame: Frame) -> StepResult:
        """Take in one frame; frames come in order of time."""
        raise NotImplementedError

    def interrupted(self, now: float) -> StepResult:
        """The camera is offline since its last frame: slots become unknown until frames come again."""
        raise NotImplementedError
