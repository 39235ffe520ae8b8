"""Schedules: by the figures of robfig/cron's tests, and as minute by minute."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers.common import cron
from kscale.errors import InputError
from tests.twin import cronjob as twin

SECOND = 1_000_000


def at(text: str) -> int:
    return round(datetime.datetime.fromisoformat(text).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("after", "text", "expected"),
    [
        ("2012-07-09T14:45+00:00", "0/15 * * * *", "2012-07-09T15:00+00:00"),
        ("2012-07-09T14:59:59+00:00", "0/15 * * * *", "2012-07-09T15:00+00:00"),
        ("2012-07-09T15:45+00:00", "20-35/15 * * * *", "2012-07-09T16:20+00:00"),
        ("2012-07-09T23:46+00:00", "*/15 * * * *", "2012-07-10T00:00+00:00"),
        ("2012-07-09T23:35:51+00:00", "20-35/15 1/2 */2 * *", "2012-07-11T01:20+00:00"),
        ("2012-07-09T23:35:51+00:00", "20-35/15 10-12 */2 Jul *", "2012-07-11T10:20+00:00"),
        ("2012-07-09T23:35+00:00", "0 0 9 Apr-Oct ?", "2012-08-09T00:00+00:00"),
        ("2012-07-09T23:35+00:00", "0 0 */5 Apr,Aug,Oct Mon", "2012-08-01T00:00+00:00"),
        ("2012-07-09T23:35+00:00", "0 0 */5 Oct Mon", "2012-10-01T00:00+00:00"),
        ("2012-07-09T23:35+00:00", "0 0 * Feb Mon", "2013-02-04T00:00+00:00"),
        ("2012-07-09T23:35+00:00", "0 0 * Feb Mon/2", "2013-02-01T00:00+00:00"),
        ("2012-12-31T23:59:45+00:00", "* * * * *", "2013-01-01T00:00+00:00"),
        ("2012-07-09T23:35+00:00", "0 0 29 Feb ?", "2016-02-29T00:00+00:00"),
        ("2012-07-15T00:00+00:00", "0 0 1,15 * Sun", "2012-07-22T00:00+00:00"),
        ("2012-07-16T00:00+00:00", "0 0 * * Mon", "2012-07-23T00:00+00:00"),
        ("2012-07-09T15:00:10.5+00:00", "@every 90s", "2012-07-09T15:01:40+00:00"),
        ("2012-07-09T15:00+00:00", "@every 1h30m", "2012-07-09T16:30+00:00"),
        ("2012-07-09T15:00+00:00", "@hourly", "2012-07-09T16:00+00:00"),
        ("2012-07-09T15:00+00:00", "@weekly", "2012-07-15T00:00+00:00"),
        ("2012-07-09T15:00+00:00", "@yearly", "2013-01-01T00:00+00:00"),
    ],
)
def test_next(after: str, text: str, expected: str) -> None:
    assert cron.next_after(text, "UTC", at(after)) == at(expected)


@pytest.mark.parametrize(
    ("after", "text", "expected"),
    [
        # The clock skips 2 o'clock: a start at that time is left out.
        ("2012-03-11T00:00-05:00", "30 2 11 Mar ?", "2013-03-11T02:30-04:00"),
        ("2012-03-11T00:00-05:00", "0 2 * * ?", "2012-03-12T02:00-04:00"),
        ("2012-03-11T01:00-05:00", "0 * * * ?", "2012-03-11T03:00-04:00"),
        # It repeats 1 o'clock: a start at that time is made twice.
        ("2012-11-04T00:00-04:00", "0 1 * * ?", "2012-11-04T01:00-04:00"),
        ("2012-11-04T01:00-04:00", "0 1 * * ?", "2012-11-04T01:00-05:00"),
        ("2012-11-04T01:00-05:00", "0 1 * * ?", "2012-11-05T01:00-05:00"),
        ("2012-11-04T01:45-04:00", "30 * * * ?", "2012-11-04T01:30-05:00"),
    ],
)
def test_clocks_that_are_changed(after: str, text: str, expected: str) -> None:
    assert cron.next_after(text, "America/New_York", at(after)) == at(expected)


@pytest.mark.parametrize(
    "text",
    [
        "", "xyz", "* * * *", "* * * * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 1 13 *", "0 0 * * 7",
        "5-2 * * * *", "*/0 * * * *", "1-2-3 * * * *", "1/2/3 * * * *", "0 0 l * *", "0 0 * * 1#2", "0 0 * * fri-mon",
        "H * * * *", "R * * * *", "-1 * * * *", "1,, * * * *", "@every", "@every x", "@every 1", "@reboot",
        "@unrecognized", "0 0 feb * *",
    ],
)  # fmt: skip
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(InputError, match=r"field 'spec.schedule': '.*' is no schedule; expected five fields"):
        cron.check(text, "UTC")


@pytest.mark.parametrize("text", ["0 0 31 2 *", "59 23 31 2 *", "0 0 30 Feb ?", "0 0 31 4,6 *"])
def test_what_never_fires(text: str) -> None:
    with pytest.raises(InputError, match="never fires"):
        cron.check(text, "UTC")
    assert cron.next_after(text, "UTC", at("2016-05-19T10:00+00:00")) == -1


def test_a_day_of_the_week_saves_a_day_that_is_not_there() -> None:
    cron.check("0 0 31 2 1", "UTC")
    cron.check("0 0 29 2 *", "UTC")


@pytest.mark.parametrize("zone", ["", "Local", "Europe/Nowhere", "../etc/passwd", "UTC+1"])
def test_what_is_no_time_zone(zone: str) -> None:
    with pytest.raises(InputError, match=r"field 'spec.timeZone': .*is no time zone"):
        cron.check("* * * * *", zone)


def test_a_time_zone_stands_in_its_own_field() -> None:
    with pytest.raises(InputError, match="names a time zone"):
        cron.check("CRON_TZ=Europe/Berlin 0 6 * * *", "UTC")


def _field(place: int) -> st.SearchStrategy[str]:
    low, high = twin.BOUNDS[place]
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    names = st.sampled_from(twin.NAMES[place]) if twin.NAMES[place] else number.map(str)
    step = st.sampled_from(["", "/1", "/2", "/7"])
    single = st.one_of(st.sampled_from("*?"), span, number.map(str), names)
    part = st.tuples(single, step).map("".join)
    return st.lists(part, min_size=1, max_size=2).map(",".join)


SCHEDULES = st.tuples(*map(_field, range(5))).map(" ".join)
ZONES = st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "America/Havana"])


@pytest.mark.parametrize(
    "text",
    [
        "1-1/2 0 * * *", "59/1 0 * * *", "0 23/1 * * *", "0 0 5-5/3 * *", "0 0 31/1 * ?", "0 0 4,* * 1", "0 0 4 * 2,?",
        "0 0 */2 * 1", "0 0 4 * */2", "0 0 */1 * 1", "0 0 4 * */01", "0 0 * * 1/3", "0 0 * * 6/1", "0 0 * * Sat/2",
        "0 0 * * 6-6/1", "0 0 * * Mon-1/2", "0 0 * * Mon-fri/2", "0 0 * 1-JUL *", "0 0 * dec/1 *", "0 0 * 12-12/5 *",
    ],
)  # fmt: skip
def test_what_libraries_read_otherwise(text: str) -> None:
    for day in range(1, 29):
        after = at(f"2016-12-{day:02}T00:00+00:00")
        assert cron.next_after(text, "UTC", after) == twin.next_after(text.lower(), "UTC", after, 40)


@settings(max_examples=60, deadline=None)
@given(text=SCHEDULES, zone=ZONES, day=st.integers(0, 700), minute=st.integers(0, 1439))
def test_as_minute_by_minute(text: str, zone: str, day: int, minute: int) -> None:
    after = at("2017-01-01T00:00+00:00") + (day * 1440 + minute) * 60 * SECOND + 17 * SECOND
    expected = twin.next_after(text, zone, after)
    found = cron.next_after(text, zone, after)
    assert found == expected if expected >= 0 else not 0 <= found < after + 10 * 86_400 * SECOND
