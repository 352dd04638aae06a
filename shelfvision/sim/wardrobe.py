"""Everything that moves before a shelf as stamps, drawn when first needed and kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.carts import draw_cart, draw_crate
from shelfvision.sim.compositing import Matrix, Stamp, make_stamp, placing, relit, shadow_stamp
from shelfvision.sim.hand_pose import FIST, Pose, grip, grip_point, pinch, pinch_point
from shelfvision.sim.hands import HandSprite, draw_hand
from shelfvision.sim.people import WALK_PHASES, PersonSprite, draw_limb, draw_person, draw_walker

FloatArray = NDArray[np.float32]

ARM_JOINS_CM = 14.0  # from the wrist: the hand's sprite fades into the arm's
ARM_CM = 78.0
RADII = (1.6, 2.6, 3.6, 4.8)  # half widths for which grips are drawn
STAGES = 3  # open, half, closed
_YAW_STEP = 30.0
_ARM_SCALE = 7.0  # pixels per cm; arms are plain, large and mostly in motion
_OCTAVES = 2  # by how many halvings things are drawn smaller when they are seen from afar
_STRETCH = 1.4  # and up to which factor they are then enlarged


def _axes(fingers: tuple[float, float, float], thumb: tuple[float, float, float]) -> FloatArray:
    """Axes of a hand from where the fingertips and, roughly, the thumb side point in camera axes."""
    y = np.array(fingers, np.float32)
    y /= np.linalg.norm(y)
    x = np.array(thumb, np.float32)
    x -= y * (x @ y)
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Approach:
    """From which side a hand comes; all are right hands whose arm leads to the right, mirrored they lead left."""

    axes: FloatArray
    wrist_bend: tuple[float, float]
    pinches: bool  # fingertips at the top instead of a grip around the middle


APPROACHES = {
    "level": Approach(_axes((-0.55, -0.15, -0.8), (0.1, -1, 0.1)), (0, 0), False),
    "low": Approach(_axes((-0.5, -0.3, -0.8), (-0.1, -1, 0.1)), (0, -25), False),
    "above": Approach(_axes((-0.35, 0.45, -0.8), (-1, 0.3, 0.5)), (0, 0), True),
}


@dataclass(frozen=True, slots=True, eq=False)
class HandStamps:
    """A hand ready to be drawn."""

    whole: Stamp
    front: Stamp  # what is nearer than the held thing
    skin: Stamp  # its cover alone
    shadow: Stamp
    shadow_scale: float
    hold: tuple[float, float]
    wrist: tuple[float, float]
    arm_degrees: float
    pixels_per_cm: float

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.whole.nbytes + self.front.nbytes + self.skin.nbytes + self.shadow.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class BodyStamps:
    """A person, cart or crate ready to be drawn."""

    body: Stamp
    shadow: Stamp
    shadow_scale: float
    feet: tuple[float, float]
    shoulders: tuple[tuple[float, float], tuple[float, float]]
    pixels_per_cm: float

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.body.nbytes + self.shadow.nbytes


def place_arm(arm: HandStamps, wrist: tuple[float, float], *, scale: float, degrees: float, mirrored: bool) -> Matrix:
    """The matrix that sets an arm behind a hand: the hand's ``degrees`` and ``mirrored``, the wrist's pixel.

    ``scale`` is in pixels per cm.
    """
    own = -arm.arm_degrees if mirrored else arm.arm_degrees  # its sprite lies to the right
    return placing(arm.wrist, wrist, scale=scale / arm.pixels_per_cm, degrees=degrees + own, mirrored=mirrored)


class Wardrobe:
    """The cast of a footage and their stamps.

    What a stamp looks like depends on the seed and on what is asked for, never on the order of asking.

    Args:
        seed: of the cast.
        people: shoppers in the cast; one member of staff comes besides, as the last.
        hand_scale: pixels per cm at which hands are drawn, at most.
        body_scale: likewise bodies.
        light: factor on the light of everything.
        max_bytes: stamps that were not used for longest go beyond this.
    """

    def __init__(
        self,
        seed: int,
        *,
        people: int,
        hand_scale: float,
        body_scale: float,
        light: tuple[float, float, float] = (1.0, 1.0, 1.0),
        max_bytes: int = 32_000_000,
    ) -> None:
        self._seed = seed
        self._light = np.array(light, np.float32)
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, HandStamps | BodyStamps] = OrderedDict()
        self._bytes = 0
        self.hand_scale = hand_scale
        self.body_scale = body_scale
        self.cast = [draw_person(self._rng("person", index), staff=index == people) for index in range(people + 1)]

    @property
    def staff(self) -> int:
        """Index of the member of staff."""
        return len(self.cast) - 1

    def hand(
        self,
        person: int,
        approach: str,
        half_cm: float,
        closing: float,
        *,
        short: bool = False,
        scale: float | None = None,
    ) -> HandStamps:
        """A hand that holds, or is about to hold, a thing of the given half width.

        Args:
            person: whose.
            approach: from which side it comes.
            half_cm: of what it holds.
            closing: 0 open, 1 closed.
            short: it ends at the wrist.
            scale: pixels per cm with which it will be seen; as large as the wardrobe draws when absent.
        """
        drawn = _octave(self.hand_scale, scale)
        stage = round(min(max(closing, 0.0), 1.0) * (STAGES - 1))
        radius = min(RADII, key=lambda known: abs(known - half_cm))

        def make() -> HandStamps:
            way = APPROACHES[approach]
            wide = min(radius + (0, 0.7, 2.2)[STAGES - 1 - stage], 6.0)
            pose: Pose = pinch(wide) if way.pinches else grip(wide)
            hold = pinch_point(pinch(radius)) if way.pinches else grip_point(radius)
            arm_cm = (0.0, 1.5 if short else ARM_JOINS_CM)
            return self._hand_stamps(person, pose, way, drawn, hold=hold, radius=radius, arm_cm=arm_cm)

        return self._get(("hand", person, approach, radius, stage, short, drawn), make)  # type: ignore[return-value]

    def arm(self, person: int, approach: str, *, scale: float | None = None) -> HandStamps:
        """The arm behind such a hand, for `place_arm`."""
        drawn = _octave(min(self.hand_scale, _ARM_SCALE), scale)

        def make() -> HandStamps:
            way = APPROACHES[approach]
            hold = pinch_point(pinch(RADII[1])) if way.pinches else grip_point(RADII[1])
            return self._hand_stamps(person, FIST, way, drawn, hold=hold, radius=RADII[1], arm_cm=(4.0, ARM_CM))

        return self._get(("arm", person, approach, drawn), make)  # type: ignore[return-value]

    def body(
        self, person: int, yaw: float, phase: float | None, arms: tuple[bool, bool], *, scale: float | None = None
    ) -> BodyStamps:
        """A person turned by about ``yaw``, in a phase of walking or standing; ``scale`` as for `hand`."""
        drawn = _octave(self.body_scale, scale)
        turned = round(yaw / _YAW_STEP) * _YAW_STEP
        step = None if phase is None else round(phase * WALK_PHASES) % WALK_PHASES

        def make() -> BodyStamps:
            sprite = draw_walker(
                self.cast[person],
                self._rng("body", person),
                drawn,
                yaw=turned,
                phase=None if step is None else step / WALK_PHASES,
                arms=arms,
            )
            return self._body_stamps(sprite)

        return self._get(("body", person, turned, step, arms, drawn), make)  # type: ignore[return-value]

    def limb(self, person: int) -> BodyStamps:
        """A straight arm that hangs down: `feet` is its wrist, the first shoulder its upper end."""

        def make() -> BodyStamps:
            return self._body_stamps(draw_limb(self.cast[person], self._rng("limb", person), self.body_scale))

        return self._get(("limb", person), make)  # type: ignore[return-value]

    def cart(self, person: int) -> BodyStamps:
        """The cart of a shopper, or the crates of staff."""

        def make() -> BodyStamps:
            draw = draw_crate if person == self.staff else draw_cart
            return self._body_stamps(draw(self._rng("cart", person), self.body_scale))

        return self._get(("cart", person), make)  # type: ignore[return-value]

    def _hand_stamps(
        self,
        person: int,
        pose: Pose,
        way: Approach,
        scale: float,
        *,
        hold: tuple[float, float, float],
        radius: float,
        arm_cm: tuple[float, float],
    ) -> HandStamps:
        sprite: HandSprite = draw_hand(
            self.cast[person].look,
            pose,
            way.axes,
            self._rng("skin", person),
            scale,
            hold=hold,
            wrist_bend=way.wrist_bend,
            hold_half_cm=radius,
            arm_cm=arm_cm,
        )
        lit = self._lit(sprite.whole)
        shadow, shrunk = shadow_stamp(lit, 1.6 * scale)
        return HandStamps(
            make_stamp(lit),
            make_stamp(lit, share=sprite.front),
            Stamp(sprite.skin),
            shadow,
            shrunk,
            sprite.hold,
            sprite.wrist,
            sprite.arm_degrees,
            sprite.pixels_per_cm,
        )

    def _body_stamps(self, sprite: PersonSprite) -> BodyStamps:
        lit = self._lit(sprite.picture)
        shadow, scale = shadow_stamp(lit, 6 * sprite.pixels_per_cm)
        return BodyStamps(make_stamp(lit), shadow, scale, sprite.feet, sprite.shoulders, sprite.pixels_per_cm)

    def _lit(self, sprite: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return relit(sprite, self._light)

    def _rng(self, what: str, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *what.encode(), number])

    def _get(self, key: Hashable, make: Callable[[], HandStamps | BodyStamps]) -> HandStamps | BodyStamps:
        found = self._kept.get(key)
        if found is None:
            found = make()
            self._kept[key] = found
            self._bytes += found.nbytes
            while self._bytes > self._max_bytes and len(self._kept) > 1:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= gone.nbytes
        else:
            self._kept.move_to_end(key)
        return found


def _octave(most: float, needed: float | None) -> float:
    """The scale at which a thing is drawn: ``most`` or a half or a quarter of it, whatever suffices."""
    drawn = most
    for _ in range(_OCTAVES if needed is not None else 0):
        if needed is not None and needed <= _STRETCH * drawn / 2:
            drawn /= 2
    return drawn
