"""One-to-one matching of what was reported with what was true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Moment = tuple[float, str]
"""When, in seconds, and at which slot."""


def match_in_time(
    found: Sequence[Moment], true: Sequence[Moment], tolerance: float, *, same_slot: bool = False
) -> list[tuple[int, int]]:
    """Pair moments at most ``tolerance`` seconds apart so that as many as possible are paired.

    Among the pairings with the most pairs, one with the most right slots is taken, and among those the one with the
    least sum of time differences.

    Args:
        found: what was reported: (seconds, slot) each.
        true: what happened, likewise.
        tolerance: largest difference of a pair, seconds.
        same_slot: pair only moments of the same slot.

    Returns:
        Index pairs (into ``found``, into ``true``), in order of ``found``.
    """
    tolerance += 1e-6  # a difference of exactly the tolerance counts, whatever the floats make of it
    pairs: list[tuple[int, int]] = []
    for rows, columns in _groups(found, true, tolerance):
        times = np.abs(
            np.array([found[i][0] for i in rows])[:, None] - np.array([true[j][0] for j in columns])[None, :]
        )  # (rows, columns)
        wrong = np.array([[found[i][1] != true[j][1] for j in columns] for i in rows])
        allowed = times <= tolerance
        if same_slot:
            allowed &= ~wrong
        # lexicographic order by weights: one wrong slot outweighs all differences together, one pair all wrong slots
        most = min(len(rows), len(columns))
        one_slot = most * tolerance + 1
        one_pair = most * (one_slot + tolerance) + 1
        cost = np.where(allowed, wrong * one_slot + times - one_pair, 0.0)
        pairs.extend((rows[i], columns[j]) for i, j in least_cost(cost) if allowed[i, j])
    return sorted(pairs)


def _groups(found: Sequence[Moment], true: Sequence[Moment], tolerance: float) -> Iterator[tuple[list[int], list[int]]]:
    """Indices of moments that lie together; between two groups stands a gap of more than the tolerance."""
    marks = sorted(
        [(time, 0, i) for i, (time, _) in enumerate(found)] + [(time, 1, j) for j, (time, _) in enumerate(true)]
    )
    group: tuple[list[int], list[int]] = ([], [])
    for place, (time, side, index) in enumerate(marks):
        if place and time - marks[place - 1][0] > tolerance:
            if all(group):
                yield group
            group = ([], [])
        group[side].append(index)
    if all(group):
        yield group


def least_cost(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The assignment of the shorter side of ``cost`` to the longer one with the least sum.

    Source: the shortest augmenting path form of the Hungarian method (Jonker and Volgenant, Computing 38, 1987),
    O(n^2 m), with the inner loop over columns in numpy.

    Args:
        cost: (n, m) finite numbers.

    Returns:
        min(n, m) pairs (row, column).
    """
    if cost.shape[0] > cost.shape[1]:
        return sorted((row, column) for column, row in least_cost(cost.T))
    n, m = cost.shape
    row_price, column_price = np.zeros(n + 1), np.zeros(m + 1)
    row_of = np.zeros(m + 1, dtype=np.intp)  # 1-based; 0 means free, and column 0 holds the row being placed
    for row in range(1, n + 1):
        row_of[0] = row
        column = 0
        shortest = np.full(m + 1, np.inf)
        came_from = np.zeros(m + 1, dtype=np.intp)
        done = np.zeros(m + 1, dtype=bool)
        while row_of[column]:
            done[column] = True
            at = row_of[column]
            open_columns = np.flatnonzero(~done[1:]) + 1
            reduced = cost[at - 1, open_columns - 1] - row_price[at] - column_price[open_columns]
            better = reduced < shortest[open_columns]
            shortest[open_columns[better]] = reduced[better]
            came_from[open_columns[better]] = column
            nearest = open_columns[np.argmin(shortest[open_columns])]
            step = shortest[nearest]
            row_price[row_of[done]] += step
            column_price[done] -= step
            shortest[open_columns] -= step
            column = int(nearest)
        while column:
            previous = int(came_from[column])
            row_of[column] = row_of[previous]
            column = previous
    return sorted((int(row_of[column]) - 1, column - 1) for column in range(1, m + 1) if row_of[column])
