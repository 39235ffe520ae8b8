"""CronJobs in plain loops: schedules looked at minute by minute, and one pass of the controller over one CronJob."""

from __future__ import annotations

import datetime
import zoneinfo
from dataclasses import dataclass, field
from typing import Any

SECOND, MINUTE = 1_000_000, 60_000_000
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
NAMES = (
    (), (), (),
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
)  # fmt: skip


def _values(text: str, place: int) -> tuple[set[int], bool]:
    """Return the values of a field, and whether it has a star."""
    low, high = BOUNDS[place]
    values: set[int] = set()
    star = False

    def number(word: str) -> int:
        return NAMES[place].index(word) + low if word in NAMES[place] else int(word)

    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        by = int(step) if step else 1
        if span in ("*", "?"):
            first, last = low, high
            star |= by == 1
        else:
            start, _, end = span.partition("-")
            first = number(start)
            last = number(end) if end else high if step else first
        values |= set(range(first, last + 1, by))
    return values, star


def next_after(text: str, zone: str, after_us: int, days: int = 10) -> int:
    """Return the next start after a time, looked for minute by minute; -1 where there is none in ``days``."""
    if text.startswith("@every "):
        return after_us // SECOND * SECOND + int(text.removeprefix("@every ").removesuffix("s")) * SECOND
    where = zoneinfo.ZoneInfo(zone)
    fields = [_values(word, place) for place, word in enumerate(text.split())]
    (minutes, _), (hours, _), (month_days, any_day), (months, _), (weekdays, any_weekday) = fields
    at = after_us // MINUTE * MINUTE + MINUTE
    while at < after_us + days * 1440 * MINUTE:
        wall = datetime.datetime.fromtimestamp(at // SECOND, where)
        of_month, of_week = wall.day in month_days, wall.isoweekday() % 7 in weekdays
        day = of_month and of_week if any_day or any_weekday else of_month or of_week
        if wall.month not in months or not day or wall.hour not in hours:
            # Nothing happens for the rest of this hour, whatever the offset is.
            at += (60 - wall.minute) * MINUTE
        elif wall.minute in minutes:
            return at
        else:
            at += MINUTE
    return -1


@dataclass
class Run:
    """A Job of the CronJob."""

    name: int
    minute: int
    finished: int
    started: int
    completed: int


@dataclass
class Plan:
    """What the pass asks for."""

    created: int | None = None
    deleted: set[int] = field(default_factory=set)
    status: dict[str, int] = field(default_factory=dict)
    again: int | None = None


def most_recent(text: str, zone: str, earliest: int, now: int) -> tuple[int | None, str]:
    """Return the start that is due, and how many were missed."""
    first = next_after(text, zone, earliest)
    second = next_after(text, zone, first)
    if now < first:
        return None, "none"
    if now < second:
        return first, "none"
    between = (second - first) // SECOND
    missed = (now - first) // SECOND // between + 1
    at, recent = first + (missed - 2) * between * SECOND, None
    while (at := next_after(text, zone, at)) <= now:
        recent = at
    return recent, "many" if missed > 100 else "few"


def sync(cronjob: dict[str, Any], runs: list[Run], now: int) -> Plan:
    """Return what one pass asks for; all times are microseconds since 1970."""
    plan, status = Plan(), dict(cronjob["status"])
    for finished, limit in ((1, cronjob["most_successful"]), (2, cronjob["most_failed"])):
        over = sorted((run for run in runs if run.finished == finished), key=lambda run: (run.started, run.name))
        plan.deleted |= {run.name for run in over[: max(len(over) - limit, 0)]}
    running = [run for run in runs if not run.finished]
    status["active"] = len(running)
    status["last_successful_us"] = max([status["last_successful_us"], *(run.completed for run in runs)])
    plan.status = status
    if cronjob["suspend"]:
        return plan
    text, zone, deadline = cronjob["schedule"], cronjob["zone"], cronjob["deadline_us"]
    earliest = status["last_schedule_us"] if status["last_schedule_us"] >= 0 else cronjob["created"]
    since = max(earliest, now - deadline) if deadline >= 0 else earliest
    due, missed = most_recent(text, zone, since, now)
    latest, lost = most_recent(text, zone, earliest, now)
    if latest is None:
        latest = earliest if lost == "none" else now
    plan.again = next_after(text, zone, latest) + 100_000
    if due is None or due == status["last_schedule_us"] or (deadline >= 0 and due + deadline < now):
        return plan
    if any(run.minute == due // MINUTE for run in runs):
        status["last_schedule_us"] = due
        return plan
    if cronjob["concurrency"] == 1 and running:
        return plan
    if cronjob["concurrency"] == 2:
        plan.deleted |= {run.name for run in running}
        status["active"] = 0
    plan.created = due // MINUTE
    status["active"] += 1
    status["last_schedule_us"] = due
    status["many_missed"] += missed == "many"
    return plan
