"""When a CronJob's schedule fires: five fields or @every, in a time zone, as robfig/cron v3 reads them.

cronsim reads fields and walks them; what it reads otherwise than robfig/cron is written so that both agree. A schedule
fires at each instant whose wall clock matches: an hour that a clock skips fires not at all, one that it repeats twice.
"""

from __future__ import annotations

import re
import zoneinfo
from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache

from cronsim.cronsim import RANGES, CronSim, CronSimError, Field

from kscale.errors import InputError

SECOND, MINUTE = 1_000_000, 60_000_000
#: A schedule that does not fire in so many years never does.
YEARS = 5
_DAY_SECONDS = 86_400
_EPOCH = datetime(1970, 1, 1)
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_STEP = re.compile(r"0*[1-9][0-9]*")
_ALIASES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_EXPECTED = "five fields as in '30 6 * * 1-5', @hourly and the like, or '@every 90m'"


@dataclass(frozen=True)
class Every:
    """A schedule that fires again and again after the same time."""

    every_us: int


@cache
def schedule(text: str) -> Every | str:
    """Return what a schedule says: how often, or five fields as cronsim reads them. Raises InputError."""
    words = text.split()
    if words[:1] == ["@every"] and len(words) == 2:
        return Every(_duration(words[1], text))
    words = _ALIASES.get(text.strip(), text).upper().split()
    if len(words) != 5:
        raise _bad(text)
    try:
        # Sorted, stars come first, where cronsim looks for them.
        return " ".join(
            ",".join(sorted(_part(part, Field(place)) for part in word.split(",")))
            for place, word in enumerate(words, 1)
        )
    except CronSimError:
        raise _bad(text) from None


def _bad(text: str, why: str = "is no schedule") -> InputError:
    return InputError(f"'{text[:80]}' {why}", field="spec.schedule", expected=_EXPECTED)


def _duration(word: str, text: str) -> int:
    """Return a duration as Go writes it, in whole seconds and at least one."""
    parts = _DURATION.findall(word)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        raise _bad(text)
    nanoseconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return max(int(nanoseconds // 10**9), 1) * SECOND


def _part(part: str, field: Field) -> str:
    """Return one entry of a field as cronsim reads it in robfig/cron's sense. Raises CronSimError."""
    span, slash, step = part.partition("/")
    if slash and not _STEP.fullmatch(step):
        raise CronSimError(field.msg())
    # Sunday has no second number.
    least, most = RANGES[field][0], 6 if field is Field.DOW else RANGES[field][-1]
    if span in ("*", "?"):
        # In steps of more than one, a star no longer leaves the day free.
        return f"{least}-{most}/{step}" if slash and int(step) > 1 else "*"
    ends = [field.int(word) for word in span.split("-")]
    # A single value with a step goes on to the largest.
    low, high = ends[0], ends[1] if len(ends) > 1 else most if slash else ends[0]
    if len(ends) > 2 or not low <= high <= most:
        raise CronSimError(field.msg())
    # cronsim would go on from a range of one as well.
    return str(low) if low == high else f"{low}-{high}{slash}{step}"


@cache
def zone(name: str) -> zoneinfo.ZoneInfo:
    """Return a time zone. Raises InputError."""
    try:
        if not name or name.lower() == "local":
            raise ValueError
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise InputError(
            f"'{name[:80]}' is no time zone", field="spec.timeZone", expected="a name like Europe/Berlin, or Etc/UTC"
        ) from None


def next_after(text: str, zone_name: str, after_us: int) -> int:
    """Return when a schedule fires next after a time (both in microseconds since 1970); -1 where it never does."""
    found = schedule(text)
    if isinstance(found, Every):
        return after_us // SECOND * SECOND + found.every_us
    return _next_of_fields(found, zone_name, after_us // MINUTE)


@lru_cache(maxsize=1 << 16)
def _next_of_fields(fields: str, zone_name: str, minute: int) -> int:
    where, start = zone(zone_name), minute * 60 + 1
    limit = datetime.fromtimestamp(start, where).year + YEARS
    while True:
        # Clocks are taken to go on as they go now; where they are changed meanwhile, from there on once more.
        offset = _offset(where, start)
        try:
            wall = next(CronSim(fields, _EPOCH + timedelta(seconds=start - 1 + offset)), None)
        except CronSimError:
            return -1
        if wall is None or wall.year > limit:
            return -1
        at = (wall - _EPOCH) // timedelta(seconds=1) - offset
        start = _change(where, offset, start, at)
        if start < 0:
            return at * SECOND


def _offset(where: zoneinfo.ZoneInfo, at: int) -> int:
    """Return how many seconds clocks are ahead of UTC."""
    return (datetime.fromtimestamp(at, where).utcoffset() or timedelta()) // timedelta(seconds=1)


def _change(where: zoneinfo.ZoneInfo, offset: int, start: int, end: int) -> int:
    """Return the first second until ``end`` from which on clocks have another offset; -1 where there is none."""
    for day in range(start, end, _DAY_SECONDS):
        last = min(day + _DAY_SECONDS, end)
        if _offset(where, last) != offset:
            return day + bisect_left(range(day, last), True, key=lambda at: _offset(where, at) != offset)
    return -1


def check(text: str, zone_name: str) -> None:
    """Refuse a schedule that cannot be read, or that never fires. Raises InputError."""
    if "TZ=" in text:
        raise InputError(f"'{text[:80]}' names a time zone", field="spec.schedule", expected="spec.timeZone for it")
    found = schedule(text)
    try:
        if isinstance(found, str):
            CronSim(found, _EPOCH)
    except CronSimError:
        # Its values are right one by one, so that it is a day which none of its months has.
        raise InputError(f"'{text[:80]}' never fires", field="spec.schedule", expected="days that there are") from None
    zone(zone_name)
