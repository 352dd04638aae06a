"""Every default of one camera's reasoning, gathered by subject."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shelfvision.core.interactions import InteractionSettings
from shelfvision.core.planogram import CameraPlan
from shelfvision.core.presence import PresenceSettings
from shelfvision.core.shelf import ShelfSettings
from shelfvision.core.tracking import TrackingSettings
from shelfvision.edge.camera_faults import FaultSettings
from shelfvision.edge.change import ChangeSettings
from shelfvision.edge.cold_start import ColdStartSettings
from shelfvision.edge.evidence import EvidenceSettings
from shelfvision.edge.film import FilmSettings
from shelfvision.edge.foreground import ForegroundSettings
from shelfvision.edge.ghosts import GhostSettings
from shelfvision.edge.light import LightSettings
from shelfvision.edge.scene import SceneSettings
from shelfvision.edge.slot_watch import SlotWatchSettings


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """All defaults of one camera's reasoning, by subject."""

    working_pixels: int = 320 * 180  # a frame is reduced by a whole number to about this
    facing_pixels: float = 10.0  # ... unless a facing would get narrower than this
    light: LightSettings = field(default_factory=LightSettings)
    foreground: ForegroundSettings = field(default_factory=ForegroundSettings)
    scene: SceneSettings = field(default_factory=SceneSettings)
    ghosts: GhostSettings = field(default_factory=GhostSettings)
    change: ChangeSettings = field(default_factory=ChangeSettings)
    cold_start: ColdStartSettings = field(default_factory=ColdStartSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    film: FilmSettings = field(default_factory=FilmSettings)
    slot: SlotWatchSettings = field(default_factory=SlotWatchSettings)
    faults: FaultSettings = field(default_factory=FaultSettings)
    interactions: InteractionSettings = field(default_factory=InteractionSettings)
    shelf: ShelfSettings = field(default_factory=ShelfSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    presence: PresenceSettings = field(default_factory=PresenceSettings)


def choose_reduction(plan: CameraPlan, settings: PipelineSettings) -> int:
    """Frame pixels per working pixel and side: small enough to be quick, large enough for the narrowest facing."""
    width, height = plan.frame_size
    reduction = max(1, round(float(np.sqrt(width * height / settings.working_pixels))))
    for slot in plan.slots:
        x1, y1, x2, y2 = slot.bounds
        narrow = min((x2 - x1) / slot.facings, y2 - y1)
        reduction = min(reduction, max(1, int(narrow / settings.facing_pixels)))
    return reduction
