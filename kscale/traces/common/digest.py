"""What a planner wants to know of a trace, gathered portion by portion in memory that its length does not decide.

Up to ``EXACT`` pods all numbers are exact. Of more, quantiles of times are read off a histogram, and the load off parts
of time; ``Digest.notes`` says so. Memory grows with the number of distinct specs, and of owners up to ``MOST_OWNERS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from kscale.state.quantities import format_duration
from kscale.traces import Portions, Rest
from kscale.traces.common.specs import SpecTable, resources
from kscale.traces.common.tallies import EXACT, Distinct, Ends, Times, Values

Array = npt.NDArray[Any]
#: Owners whose pods are counted; when there are twice as many, those with the fewest are forgotten.
MOST_OWNERS = 1 << 20
AMOUNTS = ("cpu_milli", "memory_bytes", "ephemeral_storage_bytes", "gpu_milli")


class Digest:
    """A trace, portion by portion (``add``), until its end (``close``).

    Attributes:
        rest: what the reader said at its end.
        pods: how many there are.
        names: the amounts and resources that are added up, in the order of columns.
        pods_of: int64 (spec,), pods of each spec.
        examples: by spec, a pod of it as namespace/name.
        durations, gaps: times from start to end, and between arrivals (None where arrivals are not in order).
        arrivals, ends: pods and amounts that come and go, over time; of a trace with times.
        first_us, last_us: of the arrivals.
    """

    def __init__(self) -> None:
        self.rest = Rest()
        self.pods = self.never_end = self.recorded = 0
        self.first_us, self.last_us = 1 << 62, -1
        self.names: tuple[str, ...] = AMOUNTS
        self.pods_of = np.zeros(0, np.int64)
        self.examples: list[str] = []
        self.durations, self.gaps = Values(), Values()
        self.arrivals = Times(0)
        self.ends: Ends | None = None
        self.ordered = True
        self._table = SpecTable()
        self._namespaces = Distinct()
        self._distinct_owners = Distinct()
        self._owners = pl.DataFrame()
        self._cut = False
        self._held: list[tuple[Array, Array, Array]] | None = []

    @property
    def specs(self) -> pl.DataFrame:
        """The distinct specs; ``gpu_milli`` is over all devices of a pod."""
        return self._table.frame().with_columns(gpu_milli=pl.col("gpu_count") * pl.col("gpu_milli"))

    @property
    def each_gpu_milli(self) -> pl.Series:
        """The share of each device, by spec."""
        return self._table.frame()["gpu_milli"]

    def add(self, frame: pl.DataFrame) -> None:
        """Take the next portion (see ``kscale.traces.Portions``)."""
        if not self.pods:
            self.names = (*AMOUNTS, *resources(frame.columns))
        if not frame.height:
            return
        spec = self._table.add(frame).to_numpy()
        self._count_specs(frame, spec)
        self._namespaces.add(frame.select("namespace").unique())
        if "owner" in frame.columns:
            self._count_owners(frame)
        self.pods += frame.height
        if "arrival_us" in frame.columns:
            self._add_times(frame, spec)

    def _count_specs(self, frame: pl.DataFrame, spec: Array) -> None:
        counts = np.bincount(spec)
        known = len(self.pods_of)
        if len(counts) > known:
            self.pods_of = np.pad(self.pods_of, (0, len(counts) - known))
            fresh, first = np.unique(spec, return_index=True)
            called = frame[first[fresh >= known]].select(pl.concat_str("namespace", pl.lit("/"), "name")).to_series()
            self.examples += called.to_list()
        self.pods_of[: len(counts)] += counts

    def _count_owners(self, frame: pl.DataFrame) -> None:
        first = pl.col("arrival_us").min() if "arrival_us" in frame.columns else pl.lit(None, pl.Int64)
        owners = frame.filter(pl.col("owner").is_not_null()).group_by("namespace", "owner").agg(
            pods=pl.len().cast(pl.Int64), first_us=first
        )  # fmt: skip
        self._distinct_owners.add(owners.select("namespace", "owner"))
        merged = pl.concat([self._owners, owners]) if self._owners.height else owners
        self._owners = merged.group_by("namespace", "owner").agg(pl.col("pods").sum(), pl.col("first_us").min())
        if self._owners.height > 2 * MOST_OWNERS:
            self._owners, self._cut = self.largest_owners(MOST_OWNERS), True

    def largest_owners(self, most: int) -> pl.DataFrame:
        """Return the owners with the most pods: columns namespace, owner, pods, first_us."""
        if not self._owners.height:
            return self._owners
        return self._owners.sort("pods", "namespace", "owner", descending=[True, False, False]).head(most)

    def _add_times(self, frame: pl.DataFrame, spec: Array) -> None:
        lacking = [pl.lit(None, pl.Int64).alias(n) for n in ("duration_us", "end_us") if n not in frame.columns]
        times = frame.with_columns(lacking).select(
            "arrival_us", "duration_us", "end_us",
            end=pl.coalesce(pl.col("arrival_us") + pl.col("duration_us"), "end_us"),
        )  # fmt: skip
        arrival, end = times["arrival_us"].to_numpy(), times["end"].fill_null(-1).to_numpy()
        self.never_end += int((end < 0).sum())
        self.recorded += frame.height - times["end_us"].null_count()
        self.durations.add(times["duration_us"].drop_nulls().to_numpy())
        rises = np.diff(arrival, prepend=self.last_us if self.last_us >= 0 else arrival[0])
        self.ordered = self.ordered and bool((rises >= 0).all())
        if self.ordered:
            self.gaps.add(rises if self.last_us >= 0 else rises[1:])
        self.first_us, self.last_us = min(self.first_us, int(arrival.min())), max(self.last_us, int(arrival.max()))
        amounts = self._amounts()
        if self.ends is None:
            self.arrivals = Times(1 + len(self.names))
            self.ends = Ends(1 + len(self.names), int(arrival[0]))
        asked = [np.ones(len(spec)), *(row[spec] for row in amounts)]
        self.arrivals.add(arrival, asked)
        gone = end >= 0
        self.ends.add(end[gone], [row[gone] for row in asked])
        if self._held is not None:
            self._held.append((arrival, end, spec))
            if self.pods > EXACT:
                self._held = None

    def _amounts(self) -> list[Array]:
        specs = self.specs
        return [specs[name].fill_null(0).to_numpy().astype(np.float64) for name in self.names]

    def close(self, rest: Rest) -> None:
        """Take what the reader says at its end."""
        self.rest = rest
        if not self.ordered and self._held is not None:
            self.gaps, self.ordered = Values(), True
            self.gaps.add(np.diff(np.sort(np.concatenate([arrival for arrival, _, _ in self._held]))))

    @property
    def timed(self) -> bool:
        """Whether pods have times."""
        return self.rest.timed and self.last_us >= 0

    @property
    def namespaces(self) -> int:
        """How many namespaces there are."""
        return self._namespaces.count

    @property
    def owners(self) -> int:
        """How many owners there are."""
        return self._distinct_owners.count if self._cut else self._owners.height

    def load(self) -> list[tuple[float, int | None, float | None]]:
        """Return by ``names`` the peak of what running pods hold if none waits, when it is, and its mean.

        Without times, the sum of all requests.
        """
        amounts = self._amounts()
        if not self.timed:
            return [(float(row @ self.pods_of), None, None) for row in amounts]
        if self._held is not None:
            arrival, end, spec = (np.concatenate(parts) for parts in zip(*self._held, strict=True))
            events = _Events(arrival, end)
            return [events.demand(row[spec]) for row in amounts]
        held, times = self.standing()
        at = held.argmax(axis=1)
        before = np.pad(held, ((0, 0), (1, 0)))[:, :-1]
        mean = ((held + before) / 2).mean(axis=1)
        found: list[tuple[float, int | None, float | None]] = [
            (float(held[row, at[row]]), min(int(times[at[row]]), self.last_us), float(mean[row]))
            for row in range(1, len(held))
        ]
        return found

    def standing(self) -> tuple[Array, Array]:
        """Return what runs at the end of each part of time (pods, then ``names``; part), and these times."""
        assert self.ends is not None
        return self.arrivals.standing(self.ends)

    @property
    def notes(self) -> list[str]:
        """What is not exact, a sentence each."""
        found = []
        if not self.durations.exact or not self.gaps.exact:
            found.append("Quantiles of times are read off a histogram: at most 0.8 % too small.")
        if not self.ordered:
            found.append("Arrivals are not in order, and too many to sort: times between them are not told.")
        if self._held is None and self.timed:
            times = self.standing()[1]
            every = format_duration(int(times[1] - times[0])) if len(times) > 1 else "part of time"
            found.append(f"The load is looked at every {every}: a peak between is not seen.")
        if self._cut:
            found.append(f"Of more than {2 * MOST_OWNERS:,} owners, the pods of the largest are counted, at least.")
        return found


class _Events:
    """Starts and ends of all pods in order of time; ends come first where they meet."""

    def __init__(self, arrival: Array, end: Array) -> None:
        self.ends = end >= 0
        times = np.concatenate([end[self.ends], arrival])
        self.order = np.argsort(times, kind="stable")
        self.times = times[self.order]
        self.span = int(arrival.min()), int(arrival.max())

    def demand(self, amount: Array) -> tuple[float, int | None, float | None]:
        """Return the peak of the sum of ``amount`` over running pods, when it is, and its mean over the arrivals."""
        held = np.cumsum(np.concatenate([-amount[self.ends], amount])[self.order])
        at = int(held.argmax())
        first, last = self.span
        clipped = np.clip(np.append(self.times, last), first, last)
        mean = float((held * np.diff(clipped)).sum()) / (last - first) if last > first else None
        return float(held[at]), int(self.times[at]), mean


def gather(portions: Portions, saw: Callable[[pl.DataFrame], None] | None = None) -> Digest:
    """Return the digest of a trace; ``saw`` is shown each portion. Raises what the reader raises."""
    digest = Digest()
    while True:
        try:
            frame = next(portions)
        except StopIteration as end:
            digest.close(end.value)
            return digest
        if saw is not None:
            saw(frame)
        digest.add(frame)
