"""Invented products: every family can be drawn from every side, near-twins differ, folders are checked."""

from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfvision.errors import ConfigError
from shelfvision.sim import lettering
from shelfvision.sim.pack_sprite import SEEN
from shelfvision.sim.pack_views import SpriteCache, render_front, render_view
from shelfvision.sim.packaging import FAMILIES
from shelfvision.sim.products import make_assortment, make_line


def a_line(family, count=3, seed=1):
    return make_line(np.random.default_rng(seed), family, count, "P0001")


def test_there_are_at_least_twelve_families():
    assert len(FAMILIES) >= 12


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_front_has_the_package_s_proportions(family):
    """The cut-out front is as wide and high as the size in centimetres says, within edges and wavy seals."""
    for seed in range(4):
        pack = a_line(family, 1, seed)[0]
        front = render_front(pack, 12.0)
        seen = front[..., 3] >= SEEN
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        assert (columns[-1] - columns[0] + 1) / 12 == pytest.approx(pack.size_cm[0], rel=0.08, abs=0.3)
        assert (rows[-1] - rows[0] + 1) / 12 == pytest.approx(pack.size_cm[1], rel=0.05, abs=0.3)
        assert front[seen][:, :3].std() > 8, "a print has contrast"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_view_is_a_whole_sprite(family):
    pack = a_line(family, 1)[0]
    for azimuth, elevation, turn, scale in product((-80, 0, 40), (-50, 0, 30, 80), (0, 180), (2.0, 8.0)):
        sprite = render_view(pack, scale, azimuth, elevation, turn)
        assert sprite.pixels.dtype == np.uint8
        assert sprite.seen_area > 0
        alpha = sprite.pixels[..., 3:]
        assert (sprite.pixels[..., :3] <= alpha.astype(int) + 2).all(), "colour is multiplied by cover"
        border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
        assert border.max() < 255, "nothing is cut off by the sprite's frame"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_near_twins_share_the_body_and_differ_in_print(family):
    first, second, third = a_line(family)
    assert first.size_cm == second.size_cm == third.size_cm
    assert first.brand == second.brand
    assert len({first.sku, second.sku, third.sku}) == 3
    a, b = (render_front(pack, 8.0)[..., :3].astype(int) for pack in (first, second))
    assert np.abs(a - b).mean() > 0.5


def test_an_assortment_is_a_function_of_its_seed():
    first, second = (make_assortment(np.random.default_rng(9), 60) for _ in range(2))
    assert first == second
    assert len(first) == 60
    assert len({pack.sku for pack in first}) == 60
    assert make_assortment(np.random.default_rng(10), 60) != first


def test_families_can_be_chosen():
    assert {pack.family for pack in make_assortment(np.random.default_rng(1), 30, families=["can", "jar"])} <= {
        "can",
        "jar",
    }


@pytest.mark.parametrize(("count", "families"), [(0, None), (-3, None), (5, ["sofa"]), (5, [])])
def test_an_impossible_assortment_is_one_clear_error(count, families):
    with pytest.raises(ConfigError):
        make_assortment(np.random.default_rng(1), count, families=families)


def test_the_cache_keeps_sprites_within_its_bytes():
    cache = SpriteCache(300_000)
    packs = make_assortment(np.random.default_rng(2), 40)
    first = cache.view(packs[0], 8.0, 0.0, 0.0, 0.0)
    assert cache.view(packs[0], 8.0, 0.0, 0.0, 0.0) is first
    for pack in packs:
        cache.view(pack, 8.0, 0.0, 0.0, 0.0)
    assert cache._sprites.bytes <= 300_000
    assert cache.view(packs[0], 8.0, 0.0, 0.0, 0.0) is not first


@pytest.fixture
def pack_shots(tmp_path):
    """A transparent PNG and a photograph on a white background."""
    folder = tmp_path / "shots"
    folder.mkdir()
    cut = np.zeros((120, 60, 4), np.uint8)
    cv2.rectangle(cut, (10, 10), (49, 109), (40, 80, 200, 255), -1)
    cv2.imwrite(str(folder / "bottle.png"), cut)
    plain = np.full((100, 100, 3), 252, np.uint8)
    cv2.circle(plain, (50, 50), 30, (30, 160, 30), -1)
    cv2.imwrite(str(folder / "apple.jpg"), plain)
    return folder


def test_pack_shots_become_whole_products_cut_to_their_outline(pack_shots):
    packs = make_assortment(np.random.default_rng(3), 6, pack_shots=pack_shots)
    shots = {pack.name: pack for pack in packs if pack.pack_shot}
    assert set(shots) == {"bottle", "apple"}
    bottle = render_front(shots["bottle"], 10.0)
    assert shots["bottle"].size_cm[0] / shots["bottle"].size_cm[1] == pytest.approx(40 / 100, rel=0.05)
    assert (bottle[8:-8, 8:-8, 3] == 255).all()
    apple = render_front(shots["apple"], 10.0)
    corner = apple[:4, :4, 3]
    assert corner.max() < SEEN, "the white background is cut away"


def test_folders_with_broken_or_no_pictures_are_one_clear_error(tmp_path, pack_shots):
    empty = tmp_path / "empty"
    empty.mkdir()
    rng = np.random.default_rng(1)
    with pytest.raises(ConfigError, match="holds no picture"):
        make_assortment(rng, 5, pack_shots=empty)
    with pytest.raises(ConfigError, match="no such folder"):
        make_assortment(rng, 5, textures=tmp_path / "nowhere")
    whole = (pack_shots / "bottle.png").read_bytes()
    (pack_shots / "half.png").write_bytes(whole[: len(whole) // 2])
    (pack_shots / "words.jpg").write_text("not a picture")
    with pytest.raises(ConfigError) as failure:
        make_assortment(rng, 5, pack_shots=pack_shots)
    assert "half.png" in str(failure.value)
    assert "words.jpg" in str(failure.value)
    assert len(str(failure.value).splitlines()) == 1


def test_a_picture_that_would_unpack_to_gigabytes_is_refused_by_its_header(tmp_path: Path):
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (50_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    (tmp_path / "bomb.png").write_bytes(header + b"\x00" * 30 + b"\x00\x00\x00\x00IEND\xaeB`\x82")
    with pytest.raises(ConfigError, match="too large"):
        make_assortment(np.random.default_rng(1), 5, textures=tmp_path)


def test_a_pack_shot_on_a_busy_background_says_what_is_needed(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (80, 80, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "busy.png"), noise)
    with pytest.raises(ConfigError, match="background is not plain"):
        make_assortment(np.random.default_rng(1), 5, pack_shots=tmp_path)


def test_words_are_written_without_truetype_fonts_too(monkeypatch):
    """OpenCV before 5 has stroke fonts only; packages still carry print."""
    monkeypatch.delattr(cv2, "FontFace", raising=False)
    lettering._font.cache_clear()
    lettering._extent.cache_clear()
    try:
        plain, printed = (np.full((60, 200, 3), 255, np.uint8) for _ in range(2))
        lettering.write_word(printed, "Молоко", (10, 10, 190, 50), (0, 0, 0))
        assert (printed != plain).any(axis=2).mean() > 0.02
        lettering.write_small_print(printed, (10, 10, 190, 50), 8.0, (0, 0, 0), np.random.default_rng(1))
    finally:
        monkeypatch.undo()
        lettering._font.cache_clear()
        lettering._extent.cache_clear()
