"""Frame times rise, whatever happens to the wall clock."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shelfvision.edge.clock import SteadyClock


class Fake:
    wall = 1000.0
    monotonic = 0.0

    def clock(self) -> SteadyClock:
        return SteadyClock(wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    def advance(self, seconds: float, step: float = 0.0) -> None:
        self.monotonic += seconds
        self.wall += seconds + step


def test_it_follows_the_wall_clock_and_a_step_forward() -> None:
    fake = Fake()
    clock = fake.clock()
    fake.advance(1)
    assert clock.now() == 1001
    fake.advance(1, step=3600)
    assert clock.now() == 4602


def test_after_a_step_back_durations_stay_right_until_the_wall_clock_has_caught_up() -> None:
    fake = Fake()
    clock = fake.clock()
    fake.advance(1)
    first = clock.now()
    fake.advance(2, step=-10)
    assert clock.now() - first == 2
    fake.advance(2, step=30)
    assert clock.now() == fake.wall


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(-1e4, 1e4)), max_size=50))
def test_times_always_rise(steps: list[tuple[float, float]]) -> None:
    fake = Fake()
    clock = fake.clock()
    times = []
    for seconds, step in steps:
        fake.advance(seconds, step)
        times.append(clock.now())
    assert all(later > earlier for earlier, later in pairwise(times))
