"""What a packet passes: steps in order, each so many things at so much time, and the distribution of their sum.

Connections are of several kinds (services with 3 endpoints, with 50, …), each with a weight. Within a kind the count of
a step is uniform on whole numbers, and steps are independent of each other: a service stands anywhere in a list, and
any endpoint is as likely as another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
#: Halvings when a quantile is looked for: a millionth of a microsecond of any time below an hour.
_HALVINGS = 52
#: Rounding of a sum of times, as a part of one rule: a count that is a whole number is to stay one.
_SLACK = 1e-7


@dataclass(frozen=True, eq=False)
class Step:
    """One thing that a packet passes.

    Attributes:
        name: where it is.
        unit: what is counted there: rules, look-ups, …
        least: float64, one a kind of connection: the smallest count.
        most: float64, the largest; each whole number between is as likely.
        cost_us: float64, microseconds for one.
        proxy: whether kube-proxy's mode is why it is passed at all.
    """

    name: str
    unit: str
    least: Rows
    most: Rows
    cost_us: Rows
    proxy: bool = True

    @classmethod
    def fixed(cls, name: str, unit: str, count: Any, cost_us: Any, *, proxy: bool = True) -> Step:
        """Return a step whose count is always the same; ``count`` and ``cost_us`` are one a kind, or one for all."""
        return cls.spread(name, unit, count, count, cost_us, proxy=proxy)

    @classmethod
    def spread(cls, name: str, unit: str, least: Any, most: Any, cost_us: Any, *, proxy: bool = True) -> Step:
        """Return a step whose count is uniform on ``least`` to ``most``."""
        low, high, cost = (np.atleast_1d(np.asarray(value, np.float64)) for value in (least, most, cost_us))
        return cls(name, unit, low, high, cost, proxy)

    @property
    def mean_count(self) -> Rows:
        """Float64, one a kind: the mean count."""
        return (self.least + self.most) / 2


@dataclass(frozen=True, eq=False)
class Path:
    """The steps of a packet.

    Attributes:
        weights: float64, one a kind of connection; they sum to 1.
        steps: in order; their arrays have one value, or one a kind.
    """

    weights: Rows
    steps: tuple[Step, ...]

    @property
    def mean_us(self) -> float:
        """Mean of the time."""
        return float(sum(self._mean(step.mean_count * step.cost_us) for step in self.steps))

    @property
    def proxy_us(self) -> float:
        """Mean of the part that is kube-proxy's doing."""
        return float(sum(self._mean(step.mean_count * step.cost_us) for step in self.steps if step.proxy))

    def _mean(self, values: Rows) -> float:
        return float(np.dot(self.weights, np.broadcast_to(values, self.weights.shape)))

    def listing(self) -> list[tuple[str, str, float, float]]:
        """Return the steps as (name, unit, mean count, mean microseconds)."""
        return [
            (step.name, step.unit, self._mean(step.mean_count), self._mean(step.mean_count * step.cost_us))
            for step in self.steps
        ]

    def quantiles_us(self, shares: Any) -> Rows:
        """Return float64, one a share (0 to 1): the least time within which so many packets are through.

        It is exact but for rounding. Of the steps of a kind, the one with the most counts is summed in closed form, and
        the others are gone through, count by count.
        """
        wanted = np.asarray(shares, np.float64)
        low, size, count, weight = self._atoms()
        if (count == 1).all():
            order = np.argsort(low, kind="stable")
            reached = np.cumsum(weight[order])
            place = np.searchsorted(reached, wanted * reached[-1] * (1 - 1e-12))
            return np.asarray(low[order][np.minimum(place, len(low) - 1)])
        below = np.full(wanted.shape, low.min() - 1e-6)
        above = np.full(wanted.shape, (low + size * (count - 1)).max())
        step, each = np.where(size > 0, size, 1.0), weight / count
        for _ in range(_HALVINGS):
            middle = (below + above) / 2
            through = np.floor((middle[:, None] - low) / step + _SLACK) + 1
            # A step without cost is all there or not at all.
            through = np.where((size == 0) & (through > 0), count, np.clip(through, 0, count))
            enough = through @ each >= wanted - 1e-12
            above, below = np.where(enough, middle, above), np.where(enough, below, middle)
        return above

    def _atoms(self) -> tuple[Rows, Rows, Rows, Rows]:
        """Return times with the rest of each kind: the least, what one more count adds, counts, weights."""
        kinds = len(self.weights)
        counts = np.array([np.broadcast_to(step.most - step.least + 1, kinds) for step in self.steps])
        costs = np.array([np.broadcast_to(step.cost_us, kinds) for step in self.steps])
        least = np.array([np.broadcast_to(step.least, kinds) for step in self.steps])
        # One without cost spreads nothing.
        counts = np.where(costs > 0, counts, 1)
        closed = counts.argmax(axis=0)
        across = np.arange(kinds)
        size, count = costs[closed, across], counts[closed, across]
        counts[closed, across] = 1
        low, kind, weight = (least * costs).sum(axis=0), across, self.weights
        for place in range(len(self.steps)):
            many = counts[place][kind].astype(np.int64)
            if (many > 1).any():
                turn = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
                low = np.repeat(low, many) + turn * np.repeat(costs[place][kind], many)
                weight = np.repeat(weight / many, many)
                kind = np.repeat(kind, many)
        return low, size[kind], count[kind], weight

    def sample_us(self, chance: np.random.Generator, count: int) -> Rows:
        """Return float64, the times of ``count`` packets drawn with ``chance``, in microseconds."""
        kinds = len(self.weights)
        kind = chance.choice(kinds, count, p=self.weights)
        total = np.zeros(count)
        for step in self.steps:
            least, most, cost = (np.broadcast_to(v, kinds)[kind] for v in (step.least, step.most, step.cost_us))
            drawn = least if (step.least == step.most).all() else chance.integers(
                least.astype(np.int64), most.astype(np.int64), endpoint=True
            )  # fmt: skip
            total += drawn * cost
        return total


def kinds(counts: Rows, mask: Rows, weights: Rows | None) -> tuple[Rows, Rows]:
    """Return the distinct counts among the rows of ``mask``, and the weight of each (they sum to 1); both may be empty.

    ``weights`` says how many connections go to each row; all alike without it, or where they are all 0.
    """
    chosen = counts[mask]
    if not len(chosen):
        return np.zeros(0), np.zeros(0)
    values, place = np.unique(chosen, return_inverse=True)
    given = None if weights is None or not weights[mask].sum() else weights[mask]
    sums = np.bincount(place, given, len(values)).astype(np.float64)
    return values.astype(np.float64), sums / sums.sum()
