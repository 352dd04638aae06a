"""Simulated demand: fast, deterministic, censored by empty shelves, and conserving units."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfvision.core.events import EventKind
from shelfvision.errors import ConfigError
from shelfvision.sim.demand import score_rule, simulate_demand
from shelfvision.sim.demand_events import camera_plans, event_drafts, truth_document, write_store
from shelfvision.sim.demand_settings import DemandSettings
from shelfvision.sim.refill_rules import by_emptiness, by_observed_rate, by_pickups, expected_shortage, nothing
from shelfvision.sim.trading import Happening
from shelfvision.site_file import load_site

FEW = DemandSettings(skus=60, days=3, seed=7)


def rank_of(values):
    return np.argsort(np.argsort(-np.asarray(values, float), kind="stable"), kind="stable")


def test_raw_counts_under_rank_what_ran_out_and_true_rates_recover_the_order():
    """The SKUs that were empty longest stand lower by pick-ups than by what shoppers came for; rates put them back."""
    run = simulate_demand(DemandSettings(skus=200, days=14, seed=3, night_fill_share=0.7), nothing)
    hours = run.settings.days * (run.settings.closes - run.settings.opens)
    share_empty = run.empty_seconds / 3600 / hours
    emptiest = share_empty >= np.quantile(share_empty, 0.8)
    wanted, by_count, by_rate = rank_of(run.wanted), rank_of(run.sold), rank_of(run.true_rate)
    assert (by_count - wanted)[emptiest].mean() > 10
    assert (by_count - wanted)[~emptiest].mean() < 0
    assert abs((by_rate - wanted)[emptiest].mean()) < 3
    available = np.maximum(hours - run.empty_seconds / 3600, 0.5)
    by_observed = rank_of(run.sold / available)
    assert abs((by_observed - wanted)[emptiest].mean()) < 0.5 * (by_count - wanted)[emptiest].mean()


def test_units_are_conserved():
    """Shelf = start - taken + returned + refilled at every record; never negative, never wanted without an answer."""
    run = simulate_demand(FEW)
    on_shelf = run.assortment.capacity.copy()
    sign = {Happening.PICK_UP: -1, Happening.PUT_BACK: 1, Happening.RESTOCKED: 1}
    for record in run.log:
        on_shelf[record.sku] += sign.get(record.what, 0) * record.units
        assert on_shelf[record.sku] == record.on_shelf >= 0
    taken = np.zeros(FEW.skus, int)
    for record in run.log:
        if record.what is Happening.PICK_UP:
            taken[record.sku] += record.units
    assert (run.wanted == taken + run.lost).all()


def test_true_rate_is_what_shoppers_wanted():
    run = simulate_demand(DemandSettings(skus=100, days=28, seed=5, put_back_share=0))
    hours = run.settings.days * (run.settings.closes - run.settings.opens)
    assert run.true_rate.sum() * hours == pytest.approx(run.wanted.sum(), rel=0.02)


def test_shoppers_do_not_depend_on_the_policy():
    runs = [simulate_demand(FEW, policy) for policy in (nothing, by_emptiness, by_pickups)]
    assert (runs[0].wanted == runs[1].wanted).all()
    assert (runs[0].wanted == runs[2].wanted).all()
    assert runs[0].lost.sum() > runs[1].lost.sum()


def test_an_honest_rate_avoids_more_loss_than_raw_counts():
    """Over several stores short of staff, the all-knowing rule is best and the observed rate next."""
    stores = [DemandSettings(skus=200, days=5, seed=seed, staff=0.2) for seed in range(3)]
    honest = np.mean([score_rule(store, by_observed_rate).avoided_share for store in stores])
    raw = np.mean([score_rule(store, by_pickups).avoided_share for store in stores])
    seen = np.mean([score_rule(store, by_emptiness).avoided_share for store in stores])
    assert 1.005 > honest > raw > seen


def test_events_are_in_order_and_links_point_to_earlier_pick_ups():
    run = simulate_demand(FEW)
    drafts = list(event_drafts(run, window_seconds=900))
    keys = {draft.key: draft for draft in drafts}
    assert len(keys) == len(drafts)
    slots = {slot.id for plan in camera_plans(run) for slot in plan.slots}
    linked = 0
    for draft in drafts:
        assert draft.data.slot is None or draft.data.slot in slots
        if draft.data.linked_event:
            pick_up = keys[draft.data.linked_event]
            assert pick_up.kind is EventKind.PICK_UP
            assert pick_up.data.slot == draft.data.slot
            assert pick_up.time < draft.time
            linked += 1
    assert linked > 10
    times = [draft.time for draft in drafts]
    assert all(b - a > -3.1 for a, b in pairwise(times))  # stockouts are seen 3 s late


def test_presence_windows_hold_the_hours_in_stock():
    """Available seconds of all windows and the empty opening hours of the truth make up the opening hours."""
    run = simulate_demand(FEW, nothing)
    available = dict.fromkeys((slot.id for plan in camera_plans(run) for slot in plan.slots), 0.0)
    for draft in event_drafts(run, window_seconds=900):
        if draft.kind is EventKind.PRESENCE and draft.data.slot:
            available[draft.data.slot] += draft.data.available_seconds
    opened = FEW.days * (FEW.closes - FEW.opens) * 3600
    truth = truth_document(run)["skus"].values()
    for line in truth:
        assert available[line["slot"]] + line["empty_hours"] * 3600 == pytest.approx(opened, abs=2)


def test_the_same_seed_gives_the_same_bytes_in_two_processes():
    code = (
        "import hashlib; from shelfvision.sim.demand import *; from shelfvision.sim.demand_events import *;"
        "from shelfvision.sim.demand_settings import *;"
        "run = simulate_demand(DemandSettings(skus=40, days=2, seed=11));"
        "print(hashlib.sha256(repr([(d, truth_document(run)) for d in event_drafts(run)]).encode()).hexdigest())"
    )
    first, second = (subprocess.check_output([sys.executable, "-c", code]) for _ in range(2))
    assert first == second
    run = simulate_demand(DemandSettings(skus=40, days=2, seed=11))
    here = hashlib.sha256(repr([(d, truth_document(run)) for d in event_drafts(run)]).encode()).hexdigest()
    assert here == first.decode().strip()


@settings(max_examples=25, deadline=None)
@given(
    st.builds(
        DemandSettings,
        skus=st.integers(1, 30),
        days=st.integers(1, 3),
        seed=st.integers(0, 2**40),
        opens=st.integers(0, 10),
        closes=st.integers(11, 24),
        picks_per_sku_day=st.floats(0.01, 60),
        put_back_share=st.floats(0, 1),
        staff=st.floats(0, 5),
        night_fill_share=st.floats(0, 1),
        delivery_share=st.floats(0, 1),
        touches_per_pick=st.floats(0, 5),
        seen_share=st.floats(0, 1),
    )
)
def test_any_store_within_the_ranges_runs(store):
    run = simulate_demand(store)
    assert (run.lost <= run.wanted).all()
    assert all(record.on_shelf >= 0 for record in run.log)
    for draft in event_drafts(run):
        assert draft.data.available_seconds is None or draft.data.available_seconds >= 0


def test_a_store_on_disk_is_a_valid_site(tmp_path):
    run = simulate_demand(FEW)
    site = load_site(write_store(run, tmp_path))
    assert sum(len(camera.slots) for camera in site.cameras) == FEW.skus
    truth = json.loads((tmp_path / "demand.truth.json").read_text())
    assert {slot.id for camera in site.cameras for slot in camera.slots} == {
        line["slot"] for line in truth["skus"].values()
    }


def test_impossible_settings_get_one_line_each():
    with pytest.raises(ConfigError) as error:
        DemandSettings(skus=0, put_back_share=2, opens=20, closes=9)
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert all("expected" in line and "found" in line for line in lines)
    with pytest.raises(ConfigError, match="skus: expected 1 to 100000, found 0"):
        replace(FEW, skus=0)


def test_expected_shortage_is_the_poisson_loss():
    """Against a sampled Poisson: within 0.02 units."""
    rng = np.random.default_rng(0)
    for mean, stock in ((0.5, 0), (2, 3), (8, 5), (30, 35)):
        sampled = np.maximum(rng.poisson(mean, 200_000) - stock, 0).mean()
        assert expected_shortage(np.array([mean]), np.array([stock]))[0] == pytest.approx(sampled, abs=0.02)
