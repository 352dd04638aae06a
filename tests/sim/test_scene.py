"""Rendered scenes: any setting renders, truth is exact, taking units repaints what a whole painting would."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfvision.errors import ConfigError
from shelfvision.sim.hands import typology_angle
from shelfvision.sim.pack_views import SpriteCache
from shelfvision.sim.products import make_assortment
from shelfvision.sim.reaching import Peopled, add_people, make_cast
from shelfvision.sim.scene import Scene
from shelfvision.sim.scene_settings import BACKS, FIXTURES, FRONTS, RANGES, SceneSettings, changed, random_settings
from shelfvision.sim.still_truth import annotate, gap_mask, seen_in

ASSORTMENT = make_assortment(np.random.default_rng(5), 50)
CACHE = SpriteCache(60_000_000)
CAST = make_cast(1)
WHOLE = {"boards", "bays", "products", "rows", "spots", "jpeg_quality"}


def a_scene(seed=1, **values):
    chosen = changed(SceneSettings(size=(480, 360)), **values)
    return Scene(chosen, seed, assortment=ASSORTMENT, cache=CACHE)


def any_settings():
    """Every setting over its whole range, independently."""
    numbers = {
        name: st.integers(int(low), int(high)) if name in WHOLE else st.floats(low, high, allow_nan=False)
        for name, (low, high) in RANGES.items()
    }
    return st.builds(
        SceneSettings,
        size=st.sampled_from([(160, 120), (96, 160), (64, 64)]),
        fixture=st.sampled_from(FIXTURES),
        back=st.sampled_from(BACKS),
        front=st.sampled_from(FRONTS),
        **numbers,
    )


ANGLES = {0, *(round(typology_angle(person.look.skin), 1) for person in CAST.cast)}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_settings(), st.integers(0, 2**31), st.booleans())
def test_any_settings_render_with_boxes_inside_the_picture(chosen, seed, peopled):
    """No crash over the whole range of settings, people before the shelf or not; every box keeps to its rules."""
    try:
        scene = Scene(chosen, seed, assortment=ASSORTMENT, cache=CACHE)
    except ConfigError:  # nothing of the assortment fits on these boards
        return
    width, height = chosen.size
    assert scene.render().shape == (height, width, 3)
    assert scene.instance_map.shape == (height, width)
    shown = Peopled(scene.render(), scene.instance_map)
    if peopled:
        shown = add_people(scene, CAST, np.random.default_rng(seed))
        assert shown.image.shape == (height, width, 3)
    for found in annotate(scene, shown.instance_map, shown.hands, shown.held):
        left, top, wide, high = found["bbox"]
        assert left >= 0
        assert top >= 0
        assert wide > 0
        assert high > 0
        assert left + wide <= width
        assert top + high <= height
        assert 0 < found["area"] <= wide * high
        assert 0 < found["visibility"] <= 1
        assert found["category_id"] in ({1, 2, 3} if peopled else {1, 2})
        assert ("skin" in found) == (found["category_id"] == 3)
        assert found.get("skin", 0) in ANGLES


def iou(a, b):
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0) * max(high, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def test_boxes_agree_with_the_renderer_s_masks_in_200_random_scenes():
    """IoU of every annotated box with the bounds of its pixels, found by brute force, is at least 0.98."""
    worst, boxes, scenes = 1.0, 0, 0
    for seed in range(200):
        chosen = random_settings(np.random.default_rng(seed), (240, 180))
        try:
            scene = Scene(chosen, seed, assortment=ASSORTMENT, cache=CACHE)
        except ConfigError:
            continue
        scenes += 1
        annotations = [found for found in annotate(scene, scene.instance_map) if found["category_id"] == 1]
        units = iter(scene.units())  # annotated in this order, the hidden ones left out
        for found in annotations:
            left, top, wide, high = found["bbox"]
            for unit in units:
                if (unit.sku, unit.slot, unit.row, unit.stack) == tuple(
                    found[key] for key in ("sku", "slot", "row", "stack")
                ):
                    mask = scene.instance_map == unit.identity
                    if np.count_nonzero(mask) == found["area"]:
                        break
            else:
                pytest.fail(f"scene {seed}: no unit has the pixels of {found}")
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            bounds = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            worst, boxes = min(worst, iou((left, top, left + wide, top + high), bounds)), boxes + 1
    assert scenes >= 190
    assert boxes > 5000
    assert worst >= 0.98


def test_masks_cover_the_pixels_that_change_when_a_unit_goes():
    """The instance map is about the same pixels as the picture: without the unit those change, and hardly any other."""
    scene = a_scene(fill=1.0, shadows=0.0, fallen=0.0, leaning=0.0, distance_cm=120.0)
    slot = next(s for s in scene.slots if s.count and _in_the_middle(scene, scene.next_unit(s.id).identity))
    unit = scene.next_unit(slot.id)
    mask = scene.instance_map == unit.identity
    before = scene.render().astype(int)
    scene.set_units(slot.id, slot.count - 1)
    changed_pixels = np.abs(scene.render().astype(int) - before).max(axis=2) > 12
    assert (changed_pixels & mask).sum() > 0.6 * mask.sum(), "what is behind differs nearly everywhere"
    near = np.zeros_like(mask)
    rows, columns = np.nonzero(mask)
    near[max(rows.min() - 2, 0) : rows.max() + 3, max(columns.min() - 2, 0) : columns.max() + 3] = True
    assert (changed_pixels & ~near).sum() == 0
    assert not (scene.instance_map == unit.identity).any()


def _in_the_middle(scene, identity):
    rows, columns = np.nonzero(scene.instance_map == identity)
    height, width = scene.instance_map.shape
    return len(rows) > 150 and 0.2 < rows.mean() / height < 0.8 and 0.2 < columns.mean() / width < 0.8


@pytest.mark.parametrize("seed", range(6))
def test_repainting_a_part_gives_what_painting_the_whole_gives(seed):
    """Taking and returning units leaves no trace: the picture equals one that was painted whole."""
    chosen = random_settings(np.random.default_rng(seed), (480, 360))
    scene = Scene(chosen, seed, assortment=ASSORTMENT, cache=CACHE)
    fresh, ids = scene.render().copy(), scene.instance_map.copy()
    rng = np.random.default_rng(seed)
    stocked = {slot.id: slot.count for slot in scene.slots}
    for slot in scene.slots:
        scene.set_units(slot.id, int(rng.integers(0, slot.capacity + 1)))
    partly, partly_ids = scene.render().copy(), scene.instance_map.copy()
    width, height = scene.camera.canvas_size
    scene._repaint((0, 0, width, height))
    assert (np.abs(partly.astype(int) - scene.render()).max(axis=2) > 16).mean() == 0
    assert (partly_ids != scene.instance_map).mean() < 0.0005
    for name, count in stocked.items():
        scene.set_units(name, count)
    assert (np.abs(fresh.astype(int) - scene.render()).max(axis=2) > 16).mean() == 0
    assert (ids != scene.instance_map).mean() < 0.0005


def test_a_seed_gives_the_same_scene_whatever_was_drawn_before():
    chosen = random_settings(np.random.default_rng(3), (320, 240))
    warm = Scene(chosen, 3, assortment=ASSORTMENT, cache=CACHE)
    cold = Scene(chosen, 3, assortment=ASSORTMENT, cache=SpriteCache())
    other = Scene(chosen, 4, assortment=ASSORTMENT, cache=CACHE)
    assert (warm.render() == cold.render()).all()
    assert (warm.instance_map == cold.instance_map).all()
    assert (warm.render() != other.render()).any()


def test_units_go_in_order_and_come_back_to_their_places():
    scene = a_scene(fill=1.0, fallen=0.0, leaning=0.0)
    slot = scene.slots[len(scene.slots) // 2]
    order = []
    while (unit := scene.next_unit(slot.id)) is not None:
        order.append(unit.identity)
        scene.set_units(slot.id, slot.count - 1)
    assert len(order) == slot.capacity
    assert scene.units(slot.id) == []
    back = scene.next_place(slot.id)
    assert back is not None
    assert back.identity == order[-1]
    with pytest.raises(ValueError, match="holds 0 to"):
        scene.set_units(slot.id, slot.capacity + 1)
    scene.set_units(slot.id, slot.capacity)
    assert scene.next_place(slot.id) is None


def test_no_standing_product_reaches_through_the_board_above_or_over_the_edge():
    for seed in range(12):
        chosen = random_settings(np.random.default_rng(seed), (160, 120))
        scene = Scene(chosen, seed, assortment=ASSORTMENT, cache=CACHE)
        for slot in scene.slots:
            board = scene.fixture.boards[slot.board]
            for place in slot.present:
                lying = abs(place.lean) > 45
                tall = place.pack.size_cm[0] if lying else place.pack.size_cm[1]
                assert place.y >= board.top - 1e-6
                assert place.y + tall <= board.ceiling + 0.01
                assert place.z + place.pack.size_cm[2] / 2 <= 0.5, "not over the front edge"
                assert place.z - place.pack.size_cm[2] / 2 >= -scene.fixture.depth - 1e-6, "not through the back"


def test_neighbours_do_not_stand_in_each_other():
    for seed in range(12):
        chosen = changed(
            random_settings(np.random.default_rng(seed), (160, 120)), misplaced=0.0, leaning=0.0, fallen=0.0
        )
        scene = Scene(chosen, seed, assortment=ASSORTMENT, cache=CACHE)
        for slot in scene.slots:
            front = sorted((p for p in slot.places if p.row == 0 and p.stack == 0), key=lambda p: p.x)
            for left, right in pairwise(front):
                assert right.x - left.x >= slot.pack.size_cm[0] - 1e-6


def test_an_emptied_slot_is_a_gap_and_a_full_shelf_has_none():
    scene = a_scene(fill=1.0, misplaced=0.0, fallen=0.0, leaning=0.0, distance_cm=170.0, height_cm=120.0)
    assert [gap for gap, _ in scene.gaps() if gap.slots] == []
    assert [found for found in annotate(scene, scene.instance_map) if found["category_id"] == 2] == []
    slot = next(s for s in scene.slots if _in_the_middle(scene, s.present[-1].identity) or s.facings >= 2)
    scene.set_units(slot.id, 0)
    ((gap, polygon),) = [(gap, polygon) for gap, polygon in scene.gaps() if gap.slots]
    assert (gap.slots, gap.sure) == ((slot.id,), True)
    assert gap.left <= slot.left + 1e-6
    assert gap.right >= slot.right - 1e-6
    own, pixel = scene.slot_polygon(slot), 1.5
    assert polygon[:, 0].min() <= own[:, 0].min() + pixel
    assert polygon[:, 0].max() >= own[:, 0].max() - pixel
    assert abs(polygon[:, 1].max() - own[:, 1].max()) < pixel
    mask = gap_mask(polygon, scene.instance_map)
    assert mask is None or mask[1].sum() <= mask[2] * 1.1


def test_a_point_on_the_shelf_lies_on_the_unit():
    scene = a_scene(distance_cm=110.0)
    for slot in scene.slots:
        unit = scene.next_unit(slot.id)
        if unit is None or unit.row or not _in_the_middle(scene, unit.identity):
            continue
        (x, y), scale = scene.point_on_shelf(slot.id, unit.identity)
        assert scale == pytest.approx(scene.camera.focal / 110, rel=0.35)
        rows, columns = np.nonzero(scene.instance_map == unit.identity)
        assert columns.min() - 4 <= x <= columns.max() + 4
        assert rows.min() - 40 <= y <= rows.max() + 40


def test_boxes_of_runs_equal_boxes_by_brute_force():
    rng = np.random.default_rng(1)
    picture = rng.integers(-1, 9, (40, 60)).astype(np.int32)
    picture[5:20, 10:30] = 4
    seen = seen_in(picture, 10)
    for identity in range(1, 11):
        rows, columns = np.nonzero(picture == identity)
        assert seen.pixels[identity] == len(rows)
        expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else (0, 0, 0, 0)
        assert tuple(seen.boxes[identity]) == expected


@pytest.mark.parametrize(
    "fault",
    [
        {"boards": 0}, {"products": 0}, {"fill": 1.5}, {"fixture": "cave"}, {"size": (10, 10)}, {"field_of_view": 0},
        {"distance_cm": float("nan")}, {"jpeg_quality": 0}, {"front": "steel"},
    ],
)  # fmt: skip
def test_impossible_settings_are_one_clear_error(fault):
    with pytest.raises(ConfigError) as failure:
        changed(SceneSettings(), **fault)
    assert next(iter(fault)) in str(failure.value)


def test_all_faults_are_told_at_once_and_unknown_names_too():
    with pytest.raises(ConfigError) as failure:
        SceneSettings(boards=0, fill=2.0)
    assert "boards" in str(failure.value)
    assert "fill" in str(failure.value)
    with pytest.raises(ConfigError, match="colour_of_socks"):
        changed(SceneSettings(), colour_of_socks=1)


def test_a_shelf_on_which_nothing_fits_is_said():
    tall = [pack for pack in ASSORTMENT if pack.size_cm[1] > 20]
    with pytest.raises(ConfigError, match="no product"):
        Scene(SceneSettings(size=(64, 64)), 1, assortment=[])
    assert tall


def test_the_lightness_of_skin_is_the_typology_angle():
    """Greys have no yellow: 90 degrees above middle lightness, -90 below."""
    assert typology_angle((200, 200, 200)) == pytest.approx(90, abs=0.1)
    assert typology_angle((60, 60, 60)) == pytest.approx(-90, abs=0.1)
    light, middle, dark = ((178, 196, 232), (82, 116, 176), (38, 54, 88))
    assert typology_angle(light) > 28 > typology_angle(middle) > -30 > typology_angle(dark)
