"""A seeded share of a trace, portion by portion: whole owners, whole machines, or a window of time.

What is kept is decided by 64 bits of a keyed hash of a name (BLAKE2b), so that the same seed keeps the same names on
every machine, whatever else the trace holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
import polars as pl

from kscale.errors import InputError
from kscale.traces import Portions, Rest

_ALL = 1 << 64


@dataclass(frozen=True)
class Share:
    """Keeps names: about ``share`` of them, above 0 and at most 1, by ``seed``. Raises InputError out of range."""

    share: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"{self.share} is out of range", field="--share", expected="above 0 and at most 1")

    def keeps(self, names: Iterable[str]) -> list[bool]:
        """Tell which names are kept."""
        key, limit = self.seed.to_bytes(8, "little"), int(self.share * _ALL)
        return [int.from_bytes(blake2b(name.encode(), digest_size=8, key=key).digest()) < limit for name in names]

    def kept(self, names: pl.Series) -> pl.Series:
        """Return where a column holds a name that is kept; each distinct name is looked at once."""
        distinct = names.unique().drop_nulls()
        known = distinct.filter(pl.Series(self.keeps(distinct), dtype=pl.Boolean))
        return names.is_in(known.implode()).fill_null(False)

    def nodes(self, rest: Rest) -> Rest:
        """Return what is left of the nodes of a trace, and of what happens to them."""
        nodes, events = rest.nodes, rest.node_events
        return replace(
            rest,
            nodes=None if nodes is None else nodes.filter(self.kept(nodes["name"])),
            node_events=None if events is None else events.filter(self.kept(events["node"])),
        )


def by_owner(portions: Portions, share: Share) -> Portions:
    """Give the pods of a share of the owners, and as large a share of the nodes; a pod without owner is its own."""

    def keep(frame: pl.DataFrame) -> pl.DataFrame:
        owner = pl.col("owner") if "owner" in frame.columns else pl.lit(None, pl.String)
        # A line break stands in no name, so that no owner is called as a pod is.
        alone = pl.concat_str(pl.lit("\n"), "name")
        key = frame.select(pl.concat_str("namespace", pl.lit("/"), pl.coalesce(owner, alone))).to_series()
        return frame.filter(share.kept(key))

    return share.nodes((yield from _each(portions, keep)))


def by_machine(portions: Portions, share: Share) -> Portions:
    """Give a share of the nodes, and the pods that the trace put on them. Raises InputError where it names no node."""
    named = 0

    def keep(frame: pl.DataFrame) -> pl.DataFrame:
        nonlocal named
        if "node_name" not in frame.columns:
            return frame.clear()
        named += frame.height - frame["node_name"].null_count()
        return frame.filter(share.kept(frame["node_name"]))

    rest = yield from _each(portions, keep)
    if not named:
        raise InputError(
            "the trace does not say on which node a pod ran", field="--by machine", expected="--by owner, or --by time"
        )
    return share.nodes(rest)


@dataclass(frozen=True)
class Window:
    """Keeps pods that arrive from ``from_us`` to before ``until_us``; the window begins at 0 in what is kept."""

    from_us: int
    until_us: int

    def __post_init__(self) -> None:
        if not 0 <= self.from_us < self.until_us:
            raise InputError("is not before --until", field="--from", expected="a window that is not empty")


def drawn_window(portions: Portions, share: float, seed: int) -> Window:
    """Return a window over ``share`` of the span of arrivals, placed by the seed; reads the whole trace.

    Raises InputError where the trace has no times or no pods.
    """
    Share(share, seed)
    first, last = 1 << 62, -1
    for frame in portions:
        _timed(frame)
        if frame.height:
            first = min(first, int(frame["arrival_us"].min()))  # type: ignore[arg-type]
            last = max(last, int(frame["arrival_us"].max()))  # type: ignore[arg-type]
    if last < 0:
        raise InputError("the trace has no pods", expected="a trace with pods")
    span = last + 1 - first
    length = max(round(share * span), 1)
    start = first + int(np.random.default_rng(seed).integers(0, span - length + 1))
    return Window(start, start + length)


def by_time(portions: Portions, window: Window) -> Portions:
    """Give the pods that arrive in a window, their times from its start; those that ran before it are left out.

    Nodes stay; what happened to them before is what they begin with. Raises InputError where the trace has no times.
    """

    def keep(frame: pl.DataFrame) -> pl.DataFrame:
        _timed(frame)
        arrival = pl.col("arrival_us")
        moved = [pl.col(n) - window.from_us for n in ("arrival_us", "end_us") if n in frame.columns]
        return frame.filter((arrival >= window.from_us) & (arrival < window.until_us)).with_columns(moved)

    rest = yield from _each(portions, keep)
    events = rest.node_events
    if events is not None:
        time = pl.col("time_us")
        events = events.filter(time < window.until_us).with_columns((time - window.from_us).clip(0).alias("time_us"))
    return replace(rest, node_events=events)


def _timed(frame: pl.DataFrame) -> None:
    if "arrival_us" not in frame.columns:
        raise InputError("the trace has no times", field="--by time", expected="--by owner")


def _each(portions: Portions, keep: Callable[[pl.DataFrame], pl.DataFrame]) -> Portions:
    while True:
        try:
            frame = next(portions)
        except StopIteration as end:
            rest: Rest = end.value
            return rest
        yield keep(frame)
