"""Several datasets as one: class names, weights, pictures held out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.errors import TrainingError
from shelfvision.learn.picture_sets import (
    check_classes,
    choose_classes,
    class_counts,
    draw_epoch,
    hold_out,
    join,
)


def picture(name, *labels):
    count = len(labels)
    boxes = np.tile(np.array([[1, 1, 9, 9]], np.float32), (count, 1))
    return LabelledPicture(Path(name), (20, 20), boxes, np.array(labels, np.int64), np.zeros(count, np.bool_))


def dataset(names, *pictures, source="set"):
    return Dataset(tuple(names), tuple(pictures), Path(source))


DRINKS = dataset(["cola", "tea", "price_tag"], picture("a.jpg", 0, 1, 2), picture("b.jpg"), source="drinks")


def test_classes_are_those_with_boxes_in_the_order_of_the_data():
    other = dataset(["never", "tea", "milk"], picture("c.jpg", 2))
    assert choose_classes(None, [DRINKS, other], ()) == ("cola", "tea", "price_tag", "milk")


def test_the_classes_of_the_start_stay_when_they_are_enough():
    gaps = dataset(["gap"], picture("a.jpg", 0))
    assert choose_classes(None, [gaps], ("product", "gap", "hand")) == ("product", "gap", "hand")
    assert choose_classes(None, [DRINKS], ("product", "gap", "hand")) == ("cola", "tea", "price_tag")


def test_boxes_of_a_class_that_is_not_wanted_are_an_error_that_shows_the_mapping():
    with pytest.raises(TrainingError, match=r"drinks: has boxes of price_tag, but .* cola, tea.*\{price_tag: cola\}"):
        choose_classes(["cola", "tea"], [DRINKS], ())
    check_classes(["cola", "tea", "price_tag", "more"], [DRINKS])


def test_no_box_at_all_is_an_error():
    with pytest.raises(TrainingError, match="empty: no picture has a box"):
        choose_classes(None, [dataset(["cola"], picture("a.jpg"), source="empty")], ())


def test_joined_pictures_know_what_their_source_labels():
    gaps = dataset(["gap", "cola"], picture("c.jpg", 0, 1))
    joined = join([DRINKS, gaps], ["cola", "gap", "tea", "price_tag"], [1.0, 3.0])
    assert [one.label.tolist() for one in joined.dataset] == [[0, 2, 3], [], [1, 0]]
    assert joined.labelled.tolist() == [[True, False, True, True]] * 2 + [[True, True, False, False]]
    assert joined.groups[0] == joined.groups[1] != joined.groups[2]
    assert joined.weight.tolist() == [1, 1, 3]
    assert class_counts(joined.dataset).tolist() == [2, 1, 1, 1]


def test_every_tenth_of_each_class_by_name_is_held_out():
    pictures = [picture(f"{name}{number:02}.jpg", label) for label, name in enumerate("xa") for number in range(25)]
    shuffled = dataset(["x", "a"], *[pictures[index] for index in np.random.default_rng(0).permutation(50)])
    trained, held = hold_out(shuffled, 10)
    assert sorted(shuffled.pictures[index].path.name for index in held) == ["a09.jpg", "a19.jpg", "x09.jpg", "x19.jpg"]
    assert sorted([*trained, *held]) == list(range(50))


def test_every_epoch_has_other_pictures_of_many_and_repeats_few():
    first, second = (draw_epoch(np.ones(1000), 100, seed=0, epoch=epoch) for epoch in (1, 2))
    assert len(first) == len(set(first.tolist())) == 100
    assert set(first.tolist()) != set(second.tolist())
    few = draw_epoch(np.ones(3), 10, seed=0, epoch=1)
    assert sorted(np.bincount(few, minlength=3)) == [3, 3, 4]


@given(
    weight=st.lists(st.floats(0.01, 50), min_size=1, max_size=30),
    wanted=st.one_of(st.none(), st.integers(1, 500)),
    epoch=st.integers(1, 100),
)
def test_an_epoch_is_always_as_long_and_as_often_as_weighed(weight, wanted, epoch):
    weight = np.array(weight)
    drawn = draw_epoch(weight, wanted, seed=3, epoch=epoch)
    total = wanted if wanted is not None else max(1, round(weight.sum()))
    assert len(drawn) == total
    expected = weight * total / weight.sum()
    assert (np.abs(np.bincount(drawn, minlength=len(weight)) - expected) < 1 + 1e-6).all()
    assert (drawn == draw_epoch(weight, wanted, seed=3, epoch=epoch)).all()


def test_fractions_are_right_over_many_epochs():
    counts = sum(
        np.bincount(draw_epoch(np.array([0.25, 1, 2.5]), None, seed=0, epoch=e), minlength=3) for e in range(400)
    )
    assert np.allclose(counts / 400, np.array([0.25, 1, 2.5]) * 4 / 3.75, atol=0.12)
