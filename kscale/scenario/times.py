"""When an entry happens: at a time, again and again, or at times that are drawn."""

from __future__ import annotations

import numpy as np

from kscale.errors import InputError
from kscale.scenario.models import Entry, Time
from kscale.state.quantities import parse_duration

#: Most times that one entry may stand for.
MOST = 100_000


def duration(value: Time, field: str) -> int:
    """Return a duration in microseconds. Raises InputError with the field."""
    try:
        return parse_duration(str(value))
    except InputError as error:
        raise InputError(error.problem, field=field, expected=error.expected) from None


def occurrences(entry: Entry, seed: int, place: int) -> list[int]:
    """Return the times of an entry, ascending; ``place`` is its place in the scenario.

    What is drawn depends on the run's seed and the place alone. Raises InputError.
    """
    ways = [name for name, value in (("at", entry.at), ("every", entry.every), ("random", entry.random))
            if value is not None]  # fmt: skip
    if len(ways) != 1:
        raise InputError(
            f"has {' and '.join(ways)}" if ways else "has no time", expected="one of at, every, random"
        )  # fmt: skip
    if entry.every is None:
        for name, value in (("from", entry.first), ("until", entry.until), ("times", entry.times)):
            if value is not None:
                raise InputError("is stated without every", field=name, expected="every, or nothing")
    if entry.at is not None:
        return [duration(entry.at, "at")]
    return _every(entry) if entry.every is not None else _drawn(entry, seed, place)


def _every(entry: Entry) -> list[int]:
    assert entry.every is not None
    step = duration(entry.every, "every")
    if step == 0:
        raise InputError("is 0", field="every", expected="a duration above 0")
    first = step if entry.first is None else duration(entry.first, "from")
    if entry.until is None and entry.times is None:
        raise InputError("has no end", field="every", expected="until or times")
    times = MOST + 1 if entry.times is None else _checked(entry.times, "times")
    if entry.until is not None:
        last = duration(entry.until, "until")
        if last < first:
            raise InputError("is before the first time", field="until", expected="a later time")
        times = min(times, (last - first) // step + 1)
    _checked(times, "every")
    return [first + step * number for number in range(times)]


def _drawn(entry: Entry, seed: int, place: int) -> list[int]:
    assert entry.random is not None
    low, high = (duration(value, f"random.between[{i}]") for i, value in enumerate(entry.random.between))
    if high < low:
        raise InputError(
            "has its end before its start", field="random.between", expected="two times, the earlier first"
        )
    times = _checked(entry.random.times, "random.times")
    generator = np.random.default_rng([seed, place])
    return sorted(generator.integers(low, high, times, endpoint=True).tolist())


def _checked(times: int, field: str) -> int:
    if not 1 <= times <= MOST:
        what = f"stands for more than {MOST:,} times" if times > MOST else f"is {times}"
        raise InputError(what, field=field, expected=f"1 to {MOST:,} times")
    return times
