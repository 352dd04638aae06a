"""Augmented boxes lie where the pixels are, and what is cut or hidden is neither a target nor a lie."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfvision.core.boxes import area, iou
from shelfvision.core.letterbox import Letterbox
from shelfvision.data.augment import Augmenter, AugmentSettings, flip
from shelfvision.data.augment_settings import AUGMENT_OFF
from shelfvision.data.paste import paste_products
from shelfvision.data.sample import Sample, fit_sample

SIZE = 160
GEOMETRY = {"zoom_in": 1.0, "zoom_out": 1.0, "stretch": 0.2, "flip": 0.5}
MARKS = [(40, 200, 40), (200, 40, 40), (40, 40, 200)]  # BGR of the squares, one a class


def sample(boxes, labels, size=(320, 240), ignore=None):
    """Grey, with a filled rectangle of its class's colour in each box."""
    image = np.full((size[1], size[0], 3), 114, np.uint8)
    for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
        image[y1:y2, x1:x2] = MARKS[label]
    count = len(boxes)
    flags = np.zeros(count, np.bool_) if ignore is None else np.array(ignore)
    return Sample(image, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), flags)


def marked(image, label):
    """Pixels that have a class's colour."""
    return (np.abs(image.astype(int) - MARKS[label]) < 40).all(axis=2)


def within(box, margin):
    """Pixels of an input whose middle lies in a box that is grown by ``margin`` pixels."""
    middle = np.arange(SIZE) + 0.5
    across = (middle > box[0] - margin) & (middle < box[2] + margin)
    down = (middle > box[1] - margin) & (middle < box[3] + margin)
    return down[:, None] & across[None]


THREE = sample([(10, 10, 70, 90), (120, 40, 200, 130), (230, 150, 300, 220)], [0, 1, 2])


def never():
    raise AssertionError("no further sample is needed")


def settings_with(**changes):
    return AUGMENT_OFF.model_copy(update=changes)


def same(first, second):
    return (
        np.array_equal(first.image, second.image)
        and np.array_equal(first.xyxy, second.xyxy)
        and np.array_equal(first.label, second.label)
        and np.array_equal(first.ignore, second.ignore)
    )


def test_with_everything_off_it_is_the_letterbox_of_evaluation():
    made = Augmenter(AUGMENT_OFF, SIZE)(np.random.default_rng(0), THREE, never)
    assert same(made, fit_sample(THREE, Letterbox(THREE.size, (SIZE, SIZE))))


@pytest.mark.parametrize("size", [224, 96])
def test_the_same_numbers_give_the_same_input(size):
    everything = AugmentSettings(copy_paste=1, mosaic=0.5, light=1, colour=1, blur=1, noise=1, compression=1, grey=0.5)
    inputs = []
    for augmenter in (Augmenter(everything, size), Augmenter(everything, size)):
        augmenter(np.random.default_rng(99), THREE, lambda: THREE)  # leaves no trace
        inputs.append([augmenter(np.random.default_rng(seed), THREE, lambda: THREE) for seed in range(6)])
    for first, second in zip(*inputs, strict=True):
        assert same(first, second)
        assert first.image.shape == (size, size, 3)
        assert first.image.dtype == np.uint8
    assert not same(inputs[0][0], inputs[0][1])


@pytest.mark.parametrize("shape", [(320, 240), (64, 48), (1500, 1125)])
@pytest.mark.parametrize("mosaic", [0, 1])
def test_boxes_follow_the_pixels_through_crop_scale_and_flip(mosaic, shape):
    factor = shape[0] / 320
    boxes = [tuple(round(value * factor) for value in box) for box in THREE.xyxy]
    whole = sample(boxes, [0, 1, 2], size=shape)
    augmenter = Augmenter(settings_with(mosaic=mosaic, **GEOMETRY), SIZE)
    checked = 0
    for seed in range(40):
        made = augmenter(np.random.default_rng(seed), whole, lambda: whole)
        for box, label in zip(made.xyxy, made.label, strict=True):
            inner = within(box, -2)
            checked += bool(inner.any())
            assert marked(made.image, label)[inner].all()
        for label in range(3):
            boxes = [within(box, 2) for box in made.xyxy[made.label == label]]
            covered = np.logical_or.reduce([*boxes, np.zeros((SIZE, SIZE), np.bool_)])
            assert not (marked(made.image, label) & ~covered).any()
    assert checked > 60


def test_a_rotated_box_encloses_what_it_did():
    made = Augmenter(settings_with(rotate=30), SIZE)(np.random.default_rng(3), THREE, never)
    assert len(made.label) == 3
    for box, label in zip(made.xyxy, made.label, strict=True):
        rows, columns = np.nonzero(marked(made.image, label))
        np.testing.assert_allclose(box, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], atol=2.5)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_cut_box_is_a_target_only_when_enough_of_it_is_seen(seed):
    """The share that is seen is counted in pixels here, not computed from the boxes."""
    one = sample([(110, 70, 210, 170)], [1])
    drawn = settings_with(zoom_in=3.0)
    made = Augmenter(drawn, SIZE)(np.random.default_rng(seed), one, never)
    without_crop = Augmenter(settings_with(zoom_in=3.0, least_visible=0), SIZE)(np.random.default_rng(seed), one, never)
    seen = marked(made.image, 1).sum()
    if not len(made.label):
        assert seen < 12
        return
    # how large the whole square would be: the zoom is the third number that the augmenter draws
    rng = np.random.default_rng(seed)
    rng.random(2)
    zoom = np.exp(rng.uniform(0, np.log1p(3.0)))
    whole = (100 * SIZE / 320 * zoom) ** 2
    share = seen / whole
    if share < 0.37:
        assert made.ignore.all()
    if share > 0.43:
        assert not made.ignore.any()
    assert not without_crop.ignore.any() or area(without_crop.xyxy)[0] < 9


def test_boxes_of_a_few_pixels_are_ignored():
    tiny = sample([(10, 10, 14, 60), (100, 100, 160, 160)], [0, 1])
    made = Augmenter(AUGMENT_OFF, SIZE)(np.random.default_rng(0), tiny, never)
    assert made.ignore.tolist() == [True, False]


def test_ignore_regions_stay_ignore_regions():
    region = sample([(10, 10, 200, 200)], [0], ignore=[True])
    augmenter = Augmenter(settings_with(mosaic=0.5, **GEOMETRY), SIZE)
    for seed in range(10):
        assert augmenter(np.random.default_rng(seed), region, lambda: region).ignore.all()


def test_pictures_without_boxes_go_through_everything():
    empty = sample([], [])
    augmenter = Augmenter(AugmentSettings(copy_paste=1, mosaic=0.5), SIZE)
    for seed in range(10):
        made = augmenter(np.random.default_rng(seed), empty, lambda: empty)
        assert made.xyxy.shape == (0, 4)


@pytest.mark.parametrize("strength", ["light", "colour", "grey", "blur", "noise", "compression"])
@pytest.mark.parametrize("amount", [0.05, 1.0])
def test_looks_change_pixels_and_no_boxes(strength, amount):
    picture = cv2.resize(np.random.default_rng(1).integers(0, 255, (9, 12, 3), np.uint8), (320, 240))
    textured = Sample(picture, THREE.xyxy, THREE.label, THREE.ignore)
    plain = Augmenter(AUGMENT_OFF, SIZE)(np.random.default_rng(0), textured, never)
    augmenter = Augmenter(settings_with(**{strength: amount}), SIZE)
    made = [augmenter(np.random.default_rng(seed), textured, never) for seed in range(40)]
    assert all(np.array_equal(one.xyxy, plain.xyxy) and not one.ignore.any() for one in made)
    changed = [np.abs(one.image.astype(int) - plain.image).mean() for one in made]
    assert max(changed) > 0
    if amount < 0.1 and strength != "grey":  # that is a share of pictures, which lose all colour
        assert max(changed) < 12  # a small strength is a small change


def test_flipping_twice_is_nothing():
    assert same(flip(flip(THREE)), THREE)
    np.testing.assert_array_equal(flip(THREE).xyxy[0], [250, 10, 310, 90])


def test_pasted_products_are_targets_and_what_they_hide_is_said():
    below = sample([(x, y, x + 50, y + 50) for x in (5, 60, 115, 170, 225) for y in (5, 60, 115, 170)], [0] * 20)
    donor = sample([(60, 60, 140, 180)], [1])
    shrunk = ignored = 0
    for seed in range(25):
        made = paste_products(np.random.default_rng(seed), below, donor, most_hidden=0.6, side=320)
        pasted = made.xyxy[made.label == 1]
        assert len(pasted) == 1
        x1, y1, x2, y2 = pasted[0].astype(int)
        assert marked(made.image, 1)[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3].all()
        for box, ignore in zip(made.xyxy[made.label == 0], made.ignore[made.label == 0], strict=True):
            original = below.xyxy[np.argmax(iou(box[None], below.xyxy)[0])]
            left, top, right, bottom = original.astype(int)
            visible = marked(made.image, 0)[top:bottom, left:right].mean()
            ignored += bool(ignore)
            shrunk += not np.array_equal(box, original)
            if visible < 0.36:
                assert ignore
            if visible > 0.48:  # soft edges take some pixels
                assert not ignore
    assert min(ignored, shrunk) > 3
    assert np.array_equal(below.image, sample([tuple(map(int, box)) for box in below.xyxy], [0] * 20).image)


def test_only_whole_products_of_the_allowed_classes_are_pasted():
    donor = sample([(0, 60, 80, 180), (150, 60, 220, 180), (160, 70, 240, 190), (250, 10, 310, 70)], [0, 1, 1, 2])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        made = paste_products(rng, sample([], []), donor, most_hidden=0.6, side=320)
        assert set(made.label.tolist()) <= {2}  # one touches the border, two overlap
        assert not len(paste_products(rng, sample([], []), donor, most_hidden=0.6, labels={0, 1}, side=320).label)


def test_unknown_or_negative_strengths_are_refused():
    with pytest.raises(ValueError, match="mosaik"):
        AugmentSettings.model_validate({"mosaik": 1})
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        AugmentSettings(light=-1)
