"""Two settled pictures of a slot, before and after: what came, what went, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.edge.difference import SETTLED, DifferenceSettings, bounds_of, changed, local_mean
from shelfvision.edge.light import FloatMap, Mask, Planes, Tone
from shelfvision.edge.slot_view import SlotView

FloatVector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChangeSettings:
    """When two settled pictures of a slot differ, and how the cues of direction are weighed."""

    settled: DifferenceSettings = SETTLED
    least_share: float = 0.07  # of a facing's area; a smaller change is a nudge or noise
    join: float = 0.14  # of a facing's shorter side, closed between parts of one change
    least_outline: float = (
        0.012  # log units a pixel along the change's outline; without an edge it is light, not a thing
    )
    gap: float = 0.2  # of a facing's width; changes further apart are separate products
    column_share: float = 0.25  # of the slot's height; a pixel column changed that much counts to the change's width
    contour: float = 1.6  # weight of ln(edge strength along the change's outline before / after)
    going_on: float = 1.6  # weight of ln(misfit with the surroundings before / after)
    texture: float = 0.5  # weight of ln(texture inside before / after)
    reference: float = 5.0  # weight of the likeness to known pictures, per unit of share
    belief: float = 0.5  # weight of the log-odds believed before
    contour_floor: float = 0.008  # log units a pixel, added to outline strengths
    texture_floor: float = 0.03  # log units a pixel, added to edge strengths
    misfit_floor: float = 0.03  # log units
    same_product: float = 0.8  # correlation from which a product was only pushed aside
    ambiguous: float = 1.2  # log-odds; below it a pushed product explains the change better
    surest: float = 6.0  # log-odds, bound of any one cue


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """What a slot looked like when it was known to be stocked or empty, in the background's light."""

    stocked: Planes | None = None  # (3, h, w) of the slot's view
    empty: Planes | None = None
    seen: Mask | None = None  # (w,) pixel columns for which both are known

    def learn(self, stocked: Planes, empty: Planes, columns: Mask) -> References:
        """These looks of some pixel columns, and what was known of the others."""
        if self.stocked is None or self.empty is None or self.seen is None:
            return References(stocked, empty, columns)
        return References(
            np.where(columns, stocked, self.stocked), np.where(columns, empty, self.empty), self.seen | columns
        )

    def relight(self, tone: Tone) -> References:
        """The looks in another light."""
        if self.stocked is None or self.empty is None:
            return self
        return References(tone.relight(self.stocked), tone.relight(self.empty), self.seen)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two settled pictures of a slot's view in the same light."""

    before: Planes  # (3, h, w)
    after: Planes  # (3, h, w)
    clipped: Mask  # (h, w) saturated in one of them
    noise: float = 1.0  # standard deviation of a pixel in grey levels


@dataclass(frozen=True, slots=True, eq=False)
class SlotChange:
    """The judgement of one before/after pair."""

    units: int = 0  # facings that came (positive) or went (negative)
    log_odds: float = 0.0  # that the product went rather than came; 0 without a change
    pushed: bool = False  # something changed, but the same product still stands there
    mask: Mask | None = None  # (h, w) of the view: the pixels that changed
    facings: FloatVector = field(default_factory=lambda: np.zeros(0))  # (facings,) what came (+) and went (-) by column
    cues: dict[str, float] = field(default_factory=dict)  # for people who look into a decision


def change_mask(pair: Pair, view: SlotView, settings: ChangeSettings) -> Mask:
    """Pixels of the view that changed and belong to the slot, holes filled."""
    bounds = bounds_of(pair.before, settings.settled, pair.noise)
    differs = changed(pair.after, pair.before, pair.clipped, settings.settled, bounds).astype(np.uint8)
    join = max(5, 2 * round(settings.join * min(view.facing_width, view.height) / 2) + 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (join, join))
    mask = cv2.morphologyEx(differs, cv2.MORPH_CLOSE, kernel)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(view.inside.shape, np.uint8)
    for contour in contours:
        one = np.zeros(view.inside.shape, np.uint8)
        cv2.drawContours(one, [contour], -1, 1, cv2.FILLED)
        piece = one > 0
        if np.count_nonzero(piece & view.inside) * 3 >= np.count_nonzero(piece):
            cv2.bitwise_or(filled, one, dst=filled)
    return np.asarray((filled > 0) & view.near)


def gradient(planes: Planes) -> FloatMap:
    """Strength of edges in log units a pixel: (h, w), the strongest of light and half the colour planes."""
    strength = None
    for plane, weight in zip(planes, (1.0, 0.7, 0.7), strict=True):
        smooth = np.ascontiguousarray(plane)
        dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=weight / 8)
        dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=weight / 8)
        size = cv2.magnitude(dx, dy)
        strength = size if strength is None else cv2.max(strength, size)
    return np.asarray(strength)


def outline_strength(planes: Planes, piece: Mask) -> float:
    """How strong edges follow the outline of ``piece``, in log units a pixel.

    Edges across the outline (the texture of what lies on both sides) are taken away from those along it: only the
    outline of a thing that fills the piece is left.
    """
    soft = cv2.GaussianBlur(piece.astype(np.float32), (0, 0), 1.6)
    normal_x, normal_y = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    length = cv2.magnitude(normal_x, normal_y)
    band = length > 0.25 * float(length.max())
    if not band.any():
        return 0.0
    along_x, along_y = normal_x[band] / length[band], normal_y[band] / length[band]
    best = 0.0
    for plane, weight in zip(planes, (1.0, 0.7, 0.7), strict=True):
        smooth = np.ascontiguousarray(plane)
        dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=weight / 8)[band]
        dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=weight / 8)[band]
        outward = np.abs(dx * along_x + dy * along_y).mean()
        crossing = np.abs(dx * along_y - dy * along_x).mean()
        best = max(best, float(outward - 0.9 * crossing))
    return best


def surroundings(planes: Planes, hole: Mask) -> Planes:
    """The picture with the hole filled along each row from the nearest pixels on both sides of it.

    Shelves go on sideways: boards, table lines and back panels run along rows.
    """
    filled = planes.copy()
    # A band of three pixels beside the hole, blurred along the border, keeps single pixels from deciding.
    smooth = np.stack([local_mean(np.ascontiguousarray(plane), 3) for plane in planes])
    position = np.arange(hole.shape[1])
    wide = cv2.dilate(hole.astype(np.uint8), np.ones((3, 5), np.uint8)) > 0
    for row in np.flatnonzero(hole.any(axis=1)):
        known = ~wide[row]
        if not known.any():
            known = ~hole[row]
        if not known.any():
            filled[:, row] = smooth[:, row].mean(axis=1, keepdims=True)
            continue
        target = hole[row]
        for plane in range(3):
            filled[plane, row, target] = np.interp(position[target], position[known], smooth[plane, row, known])
    return filled


def misfit(planes: Planes, hole: Mask) -> float:
    """Mean distance in log units between what is in the hole and how its surroundings would go on through it."""
    gap = np.abs(planes - surroundings(planes, hole))[:, hole]
    return float(np.mean(gap[0] + 0.7 * (gap[1] + gap[2])))


def pushed_aside(pair: Pair, view: SlotView) -> float:
    """Best correlation of the slot's content before with the view after, at any small displacement, in [-1, 1]."""
    rows, columns = np.flatnonzero(view.inside.any(axis=1)), np.flatnonzero(view.inside.any(axis=0))
    inset_y, inset_x = max(1, len(rows) // 10), max(1, len(columns) // 10)
    top, bottom = rows[0] + inset_y, rows[-1] + 1 - inset_y
    left, right = columns[0] + inset_x, columns[-1] + 1 - inset_x
    if bottom - top < 4 or right - left < 4:
        return 0.0
    best = 1.0
    for first, second in ((pair.before, pair.after), (pair.after, pair.before)):
        template = np.ascontiguousarray(first[0, top:bottom, left:right])
        if float(template.std()) < 0.04:
            return 0.0
        scores = cv2.matchTemplate(np.ascontiguousarray(second[0]), template, cv2.TM_CCOEFF_NORMED)
        best = min(best, float(scores.max()))
    return best


def outline_cues(pair: Pair, piece: Mask, settings: ChangeSettings) -> dict[str, float]:
    """The removed-or-abandoned cues: a product has an outline, an empty place goes on like its surroundings."""
    core = cv2.erode(piece.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if not core.any():
        core = piece
    outline = [outline_strength(planes, piece) + settings.contour_floor for planes in (pair.before, pair.after)]
    inner = [float(gradient(planes)[core].mean()) + settings.texture_floor for planes in (pair.before, pair.after)]
    gaps = [misfit(planes, piece) + settings.misfit_floor for planes in (pair.before, pair.after)]
    return {
        "outline": max(outline) - settings.contour_floor,
        "contour": settings.contour * float(np.log(outline[0] / outline[1])),
        "going_on": settings.going_on * float(np.log(gaps[0] / gaps[1])),
        "texture": settings.texture * float(np.log(inner[0] / inner[1])),
    }


class ChangeJudge:
    """Judges before/after pairs of slots by several weak cues that are summed as log-odds."""

    def __init__(self, settings: ChangeSettings) -> None:
        self.settings = settings

    def judge(
        self, pair: Pair, view: SlotView, references: References, occupied: FloatVector, *, hint: float = 0.0
    ) -> SlotChange:
        """Say what happened between two settled pictures of a slot.

        Args:
            pair: the pictures.
            view: the slot.
            references: what is known of the slot's looks.
            occupied: (facings,) log-odds that each facing held a product before.
            hint: log-odds from elsewhere that something went rather than came.
        """
        settings = self.settings
        mask = change_mask(pair, view, settings)
        if np.count_nonzero(mask & view.inside) < settings.least_share * view.facing_pixels:
            return SlotChange(mask=mask, facings=np.zeros(view.facings))
        likeness = pushed_aside(pair, view) if view.facings == 1 else 0.0
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        total, weight, pushed = 0.0, 0, False
        cues: dict[str, float] = {}
        coming, going = np.zeros_like(mask), np.zeros_like(mask)
        for label in range(1, count):
            piece = labels == label
            size = int(np.count_nonzero(piece & view.inside))
            if size < settings.least_share * view.facing_pixels:
                continue
            went, cues = self._direction(pair, piece, view, references, occupied)
            went += hint
            cues["likeness"], cues["hint"] = likeness, hint
            if cues["outline"] < settings.least_outline:
                continue
            if abs(went) < settings.ambiguous and likeness > settings.same_product:
                pushed = True
                continue
            (going if went > 0 else coming)[piece] = True
            total += went * size
            weight += size
        facings = self._moved(coming, view) - self._moved(going, view)
        units = round(float(facings.sum()))
        return SlotChange(units, total / max(weight, 1), pushed and not units, mask, facings, cues)

    def _moved(self, piece: Mask, view: SlotView) -> FloatVector:
        """(facings,) units that the changed pixels stand for, by facing; whole units in sum.

        Pieces side by side are one product or several, as wide as they are; pieces one above the other are one.
        """
        share = np.zeros(view.facings)
        if not piece.any():
            return share
        profile = self._profile(piece, view)
        gap = max(1, round(self.settings.gap * view.facing_width))
        edges = np.flatnonzero(np.diff(np.concatenate(([0], profile, [0]))))
        runs = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
        joined = runs[:1]
        for start, end in runs[1:]:
            if start - joined[-1][1] < gap:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((start, end))
        widest = max(end - start for start, end in joined)
        for start, end in joined:
            if (end - start) * 3 < widest:
                continue
            number = max(1, round((end - start) / view.facing_width))
            columns = np.bincount(view.column[start:end], minlength=view.facings)
            share += number * columns / columns.sum()
        return share * min(1.0, view.facings / float(share.sum()))

    def _profile(self, piece: Mask, view: SlotView) -> NDArray[np.int8]:
        """(w,) 1 for the pixel columns of the slot that changed over enough of their height."""
        inside = piece & view.inside
        profile = np.count_nonzero(inside, axis=0) >= self.settings.column_share * view.height
        if not profile.any():
            profile = inside.any(axis=0)
        if not profile.any():
            profile = view.inside.any(axis=0)
        return np.asarray(profile, np.int8)

    def _by_column(self, piece: Mask, view: SlotView) -> FloatVector:
        """(facings,) width of the change within each facing, in facings."""
        profile = self._profile(piece, view) > 0
        return np.bincount(view.column[profile], minlength=view.facings) / view.facing_width

    def _direction(
        self, pair: Pair, piece: Mask, view: SlotView, references: References, occupied: FloatVector
    ) -> tuple[float, dict[str, float]]:
        """Log-odds that the product in ``piece`` went (was there before) rather than came."""
        settings = self.settings
        cues = outline_cues(pair, piece, self.settings)
        known = self._likeness(pair, piece, references)
        share = self._by_column(piece, view)
        belief = float(np.dot(occupied, share) / max(float(share.sum()), 1e-6))
        cues["reference"] = settings.reference * known
        cues["belief"] = settings.belief * belief
        outline = cues.pop("outline")
        bounded = {name: float(np.clip(cue, -settings.surest, settings.surest)) for name, cue in cues.items()}
        return sum(bounded.values()), bounded | {"outline": outline}

    def _likeness(self, pair: Pair, piece: Mask, references: References) -> float:
        """How much better 'before was stocked and after is empty' fits the known pictures than the opposite."""
        if references.stocked is None or references.empty is None or references.seen is None:
            return 0.0
        where = piece & references.seen
        if np.count_nonzero(where) * 2 < np.count_nonzero(piece):
            return 0.0
        nearer = []
        for known in (references.stocked, references.empty):
            bounds = bounds_of(known, self.settings.settled, pair.noise)
            differs = [
                float(changed(planes, known, pair.clipped, self.settings.settled, bounds)[where].mean())
                for planes in (pair.before, pair.after)
            ]
            nearer.append(differs[1] - differs[0])
        # A shadow on an empty place is unlike empty too: what counts is to become like one state and unlike the other.
        if nearer[0] * nearer[1] >= 0:
            return 0.0
        return float(np.sign(nearer[0]) * 2 * min(abs(nearer[0]), abs(nearer[1])))
