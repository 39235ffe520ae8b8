"""What a packet passes: steps in order, each so many things at so much time, and the distribution of their sum.

Connections are of several kinds (services with 3 endpoints, with 50, …), each with a weight. Within a kind the count of
a step is uniform on whole numbers, and steps are independent of each other: a service stands anywhere in a list, and
any endpoint is as likely as another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
#: Microseconds within which a quantile is found.
_CLOSE = 1e-7
#: Rounding of a sum of times, as a part of one rule: a count that is a whole number is to stay one.
_SLACK = 1e-7
#: Where netfilter has a step, in the order of a packet that the node forwards: it is only known there that there is a
#: new connection, a Service's rules are gone through and its address is translated; IPVS takes what is addressed to the
#: node itself; then it is routed, and filtered and masqueraded.
CONNTRACK, PREROUTING, INPUT, TRANSLATED, FORWARD, POSTROUTING = HOOKS = (
    "conntrack", "nat PREROUTING", "INPUT", "nat PREROUTING, at its end", "filter FORWARD", "nat POSTROUTING"
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Step:
    """One thing that a packet passes.

    Attributes:
        name: where it is.
        unit: what is counted there: rules, look-ups, …
        least: the smallest count: float64, one a kind of connection, or one number for all.
        most: the largest, likewise; each whole number between is as likely.
        cost_us: microseconds for one, likewise.
        proxy: whether kube-proxy's mode is why it is passed at all.
        hook: one of ``HOOKS``: where it is; of what stands at several, one of them.
    """

    name: str
    unit: str
    least: Any
    most: Any
    cost_us: Any
    proxy: bool = True
    hook: str = PREROUTING

    @classmethod
    def fixed(
        cls, name: str, unit: str, count: Any, cost_us: Any, *, proxy: bool = True, hook: str = PREROUTING
    ) -> Step:
        """Return a step whose count is always the same: it may be any number."""
        return cls(name, unit, count, count, cost_us, proxy, hook)


@dataclass(frozen=True, eq=False)
class Path:
    """The steps of a packet.

    Attributes:
        weights: float64, one a kind of connection; they sum to 1.
        steps: in order.
    """

    weights: Rows
    steps: tuple[Step, ...]

    @cached_property
    def _table(self) -> Rows:
        """Float64, (least, most, cost) by step by kind."""
        table = np.empty((3, len(self.steps), len(self.weights)))
        for place, step in enumerate(self.steps):
            table[0, place], table[1, place], table[2, place] = step.least, step.most, step.cost_us
        return table

    @cached_property
    def _counts(self) -> Rows:
        """Float64, the mean count of each step."""
        least, most, _ = self._table
        return np.asarray(((least + most) / 2 * self.weights).sum(axis=1))

    @cached_property
    def _means(self) -> Rows:
        """Float64, the mean microseconds of each step."""
        least, most, cost = self._table
        return np.asarray(((least + most) / 2 * cost * self.weights).sum(axis=1))

    @property
    def mean_us(self) -> float:
        """Mean of the time."""
        return float(self._means.sum())

    @property
    def proxy_us(self) -> float:
        """Mean of the part that is kube-proxy's doing."""
        return float(sum(mean for step, mean in zip(self.steps, self._means, strict=True) if step.proxy))

    def listing(self) -> list[tuple[str, str, float, float]]:
        """Return the steps as (name, unit, mean count, mean microseconds)."""
        rows = zip(self.steps, self._counts.tolist(), self._means.tolist(), strict=True)
        return [(step.name, step.unit, count, mean) for step, count, mean in rows]

    def quantiles_us(self, shares: Any) -> Rows:
        """Return float64, one a share (0 to 1): the least time within which so many packets are through.

        It is exact but for rounding. Of the steps of a kind, the one with the most counts is summed in closed form, and
        the others are gone through, count by count.
        """
        wanted = np.asarray(shares, np.float64)
        low, size, count, weight = self._atoms()
        if len(low) == 1:
            return np.asarray(low + size * (np.ceil(np.clip(wanted * count - _SLACK, 1, count)) - 1))
        if (count == 1).all():
            order = np.argsort(low, kind="stable")
            reached = np.cumsum(weight[order])
            place = np.searchsorted(reached, wanted * reached[-1] * (1 - 1e-12))
            return np.asarray(low[order][np.minimum(place, len(low) - 1)])
        below = np.full(wanted.shape, low.min() - _CLOSE)
        above = np.full(wanted.shape, (low + size * (count - 1)).max())
        # A kind without a step to sum is there at its time, all at once.
        step, each = np.where(count > 1, size, np.inf), weight / count
        while (above - below).max(initial=0) > _CLOSE:
            middle = (below + above) / 2
            later = middle[:, None] - low
            through = np.where(later >= 0, np.minimum(np.floor(later / step + _SLACK) + 1, count), 0)
            # A sum in one order: a product of matrices may take another with more threads.
            enough = (through * each).sum(axis=1) >= wanted - 1e-12
            above, below = np.where(enough, middle, above), np.where(enough, below, middle)
        return above

    def _atoms(self) -> tuple[Rows, Rows, Rows, Rows]:
        """Return times with the rest of each kind: the least, what one more count adds, counts, weights."""
        least, most, costs = self._table
        # One without cost spreads nothing.
        counts = np.where(costs > 0, most - least + 1, 1)
        closed, across = counts.argmax(axis=0), np.arange(len(self.weights))
        size, count = costs[closed, across], counts[closed, across]
        counts[closed, across] = 1
        low, kind, weight = (least * costs).sum(axis=0), across, self.weights
        for place in np.flatnonzero((counts > 1).any(axis=1)):
            many = counts[place][kind].astype(np.int64)
            turn = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
            low = np.repeat(low, many) + turn * np.repeat(costs[place][kind], many)
            weight = np.repeat(weight / many, many)
            kind = np.repeat(kind, many)
        return low, size[kind], count[kind], weight

    def sample_us(self, chance: np.random.Generator, count: int) -> Rows:
        """Return float64, the times of ``count`` packets drawn with ``chance``, in microseconds."""
        kind = chance.choice(len(self.weights), count, p=self.weights)
        total = np.zeros(count)
        for least, most, cost in self._table.transpose(1, 0, 2):
            if (least == most).all():
                total += (least * cost)[kind]
            else:
                low, high = least.astype(np.int64)[kind], most.astype(np.int64)[kind]
                total += chance.integers(low, high, endpoint=True) * cost[kind]
        return total


def kinds(counts: Rows, mask: Rows, weights: Rows | None) -> tuple[Rows, Rows]:
    """Return the weight of each distinct count among the rows of ``mask`` (they sum to 1), and the counts, rising.

    ``weights`` says how many connections go to each row; all alike without it, or where they are all 0. Both are empty
    where no row is chosen.
    """
    chosen = counts[mask]
    if not len(chosen):
        return np.zeros(0), np.zeros(0)
    if chosen.min() == chosen.max():
        return np.ones(1), chosen[:1].astype(np.float64)
    values, place = np.unique(chosen, return_inverse=True)
    given = None if weights is None or not weights[mask].sum() else weights[mask]
    sums = np.bincount(place, given, len(values)).astype(np.float64)
    return sums / sums.sum(), values.astype(np.float64)
