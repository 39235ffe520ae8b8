"""When a CronJob's schedule fires: five fields or @every, in a time zone, as robfig/cron v3 reads them.

A schedule fires at each instant whose wall clock matches: an hour that a clock skips fires not at all, one that it
repeats fires twice. Why no library reads it is said in docs/defense-of-design.md.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from dataclasses import dataclass
from functools import cache, lru_cache

from kscale.errors import InputError

SECOND, MINUTE, DAY = 1_000_000, 60_000_000, 86_400_000_000
#: A schedule that does not fire in so many years never does.
YEARS = 5
_EPOCH = datetime.date(1970, 1, 1)
_PART = re.compile(r"(?:[*?]|([0-9]+|[a-z]{3})(?:-([0-9]+|[a-z]{3}))?)(?:/([0-9]+))?", re.ASCII)
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_ALIASES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_EXPECTED = "five fields as in '30 6 * * 1-5', @hourly and the like, or '@every 90m'"
#: The least and the largest value of each field, and names for some.
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES: tuple[dict[str, int], ...] = (
    {}, {}, {}, {name: number for number, name in enumerate(_MONTHS, 1)},
    {name: number for number, name in enumerate(_DAYS)},
)  # fmt: skip


@dataclass(frozen=True)
class Every:
    """A schedule that fires again and again after the same time."""

    every_us: int


@dataclass(frozen=True)
class Fields:
    """A schedule of five fields.

    Attributes:
        either: a day matches by its day of the month or by its day of the week; otherwise by both.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def has(self, day: datetime.date) -> bool:
        """Tell whether it fires on a day."""
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either else of_month and of_week


@cache
def schedule(text: str) -> Every | Fields:
    """Return the schedule of a text. Raises InputError."""
    words = text.split()
    if words[:1] == ["@every"] and len(words) == 2:
        return Every(_duration(words[1], text))
    words = _ALIASES.get(text.strip(), text).split()
    if len(words) != 5:
        raise _bad(text)
    return _fields([word.lower() for word in words], text)


def _bad(text: str, why: str = "is no schedule") -> InputError:
    return InputError(f"'{text[:80]}' {why}", field="spec.schedule", expected=_EXPECTED)


def _duration(word: str, text: str) -> int:
    """Return a duration as Go writes it, in whole seconds and at least one."""
    parts = _DURATION.findall(word)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        raise _bad(text)
    nanoseconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return max(int(nanoseconds // 10**9), 1) * SECOND


def _fields(words: list[str], text: str) -> Fields:
    found = [
        set[int]().union(*(_part(part, place, text) for part in word.split(","))) for place, word in enumerate(words)
    ]
    minutes, hours, days, months, weekdays = found
    either = not _free(words[2]) and not _free(words[4])
    return Fields(
        tuple(sorted(minutes)), tuple(sorted(hours)), frozenset(days), frozenset(months), frozenset(weekdays), either
    )  # fmt: skip


def _part(part: str, place: int, text: str) -> range:
    """Return the values of one entry of a field: ``*``, a value, a range, each with a step. Raises InputError."""
    found = _PART.fullmatch(part)
    if found is None:
        raise _bad(text)
    (least, most), (first, last, step) = _BOUNDS[place], found.groups()
    low = _value(first, place) if first else least
    # A single value with a step goes on to the largest.
    high = _value(last, place) if last else low if first and not step else most
    if not least <= low <= high <= most or (step and not int(step)):
        raise _bad(text)
    return range(low, high + 1, int(step or 1))


def _value(word: str, place: int) -> int:
    """Return what a number or a name stands for; -1 for a name that is none."""
    return int(word) if word.isdecimal() else _NAMES[place].get(word, -1)


def _free(word: str) -> bool:
    """Tell whether a field of days leaves them free: ``*`` or ``?``, in steps of one."""
    return any(re.fullmatch(r"[*?](/0*1)?", part) for part in word.split(","))


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
    return _next_of_fields(text, zone_name, after_us // MINUTE)


@lru_cache(maxsize=1 << 16)
def _next_of_fields(text: str, zone_name: str, minute: int) -> int:
    found = schedule(text)
    assert isinstance(found, Fields)
    where = zone(zone_name)
    day = datetime.datetime.fromtimestamp(minute * 60, where).date()
    last = day.year + YEARS
    while day.year <= last:
        if day.month not in found.months:
            day = (day.replace(day=1) + datetime.timedelta(days=31)).replace(day=1)
            continue
        if found.has(day):
            later = [at for at in _instants(found, where, day) if at > minute * MINUTE]
            if later:
                return min(later)
        day += datetime.timedelta(days=1)
    return -1


def _instants(found: Fields, where: zoneinfo.ZoneInfo, day: datetime.date) -> list[int]:
    """Return the instants of a day at which the wall clock matches."""
    first = datetime.datetime.combine(day, datetime.time(), where)
    last = datetime.datetime.combine(day + datetime.timedelta(days=1), datetime.time(), where)
    offset = first.utcoffset() or datetime.timedelta()
    if offset == last.utcoffset() and not first.fold:
        start = (day - _EPOCH).days * DAY - round(offset.total_seconds()) * SECOND
        return [start + (hour * 60 + minute) * MINUTE for hour in found.hours for minute in found.minutes]
    return [at for hour in found.hours for minute in found.minutes for at in _at(where, day, hour, minute)]


def _at(where: zoneinfo.ZoneInfo, day: datetime.date, hour: int, minute: int) -> list[int]:
    """Return the instants at which clocks show a time: none where they skip it, two where they repeat it."""
    found = set()
    for fold in (0, 1):
        wall = datetime.datetime(day.year, day.month, day.day, hour, minute, tzinfo=where, fold=fold)
        at = round(wall.timestamp())
        if datetime.datetime.fromtimestamp(at, where).replace(tzinfo=None, fold=0) == wall.replace(tzinfo=None, fold=0):
            found.add(at * SECOND)
    return sorted(found)


def check(text: str, zone_name: str) -> None:
    """Refuse a schedule that cannot be read, or that never fires. Raises InputError."""
    if "TZ=" in text:
        raise InputError(f"'{text[:80]}' names a time zone", field="spec.schedule", expected="spec.timeZone for it")
    # Eight years have a 29 February, even at the turn of a century.
    found = schedule(text)
    if isinstance(found, Fields) and not any(found.has(day) for day in _days(found)):
        raise InputError(f"'{text[:80]}' never fires", field="spec.schedule", expected="days that there are")
    zone(zone_name)


def _days(found: Fields) -> list[datetime.date]:
    """Return the days of eight years in the months of a schedule."""
    first = datetime.date(2024, 1, 1)
    days = (first + datetime.timedelta(days=n) for n in range(2922))
    return [day for day in days if day.month in found.months]
