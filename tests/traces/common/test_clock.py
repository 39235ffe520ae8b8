from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common import clock
from kscale.traces.common.checks import Checker


def test_offsets_count():
    texts = ["2020-04-01 00:00:00", "2020-04-01 00:00:00+00:00", "2020-04-01 08:00:00+08:00", "2020-04-01 00:00:00Z",
             " 2020-03-31 19:00:00-0500 "]  # fmt: skip
    assert clock.instants(pl.Series(texts)).to_list() == [1_585_699_200_000_000] * 5
    assert clock.written(1_585_699_200_000_000) == "2020-04-01 00:00:00"


@pytest.mark.parametrize(
    "text",
    ["2020-02-30 00:00:00", "2020-04-01 25:00:00", "2020-04-01", "x", "2020-04-01 00:00:00+8",
     "2020-04-01 00:00:00 PST", "2020-04-01 00:00:00+24:00", "2020-04-01 00:00:00.5", None],
)  # fmt: skip
def test_what_is_no_time_is_null(text):
    assert clock.instants(pl.Series([text], dtype=pl.String)).to_list() == [None]


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda t: t.replace(microsecond=0)),
    st.integers(-14 * 60, 14 * 60),
)
def test_times_are_pythons(naive, minutes):
    zoned = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = int(naive.replace(tzinfo=UTC).timestamp()), int(zoned.timestamp())
    found = clock.instants(pl.Series([naive.isoformat(" "), zoned.isoformat(" ")]))
    assert (found // 10**6).to_list() == list(expected)


digits = st.text("0123456789", min_size=19, max_size=19)
forms = st.builds(
    lambda text, tail: f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[8:10]}:{text[10:12]}:{text[12:14]}{tail}",
    st.datetimes().map("{:%Y%m%d%H%M%S}".format).map(lambda text: text.zfill(14)) | digits,
    st.shared(st.sampled_from(["", "", "Z", "+08:00", "-0530", "+99:00", " ", "\u20ac"]), key="tail"),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | forms, max_size=6), st.integers(0, 30), st.sampled_from([None, " ", "x", "/", "0", "9"]))
def test_times_that_are_written_alike_are_read_as_any(texts, place, put):
    if put is not None and texts and texts[0] is not None:
        texts[0] = texts[0][:place] + put + texts[0][place + 1 :]
    series = pl.Series("at", texts, dtype=pl.String)
    assert clock.instants(series).equals(clock._each(series), check_names=True)


def test_times_that_are_written_alike_are_read_at_once():
    series = pl.Series("at", ["2024-02-29 23:59:59+08:00", None, "0001-01-01 00:00:00+08:00"])
    found = clock._alike(series)
    assert found is not None
    assert found.equals(clock._each(series))
    for odd in ("2023-02-29 00:00:00", "2023-00-10 00:00:00", "2023-01-00 00:00:00", "2023-01-01 24:00:00"):
        assert clock._alike(pl.Series([odd])) is None


def test_bad_times_are_told_or_left_out(write):
    path = write("t.csv", "x")
    frame = pl.DataFrame({"#row": [1, 2, 3], "at": ["2020-04-01 00:00:00", "None", "noon"]})
    with pytest.raises(InputError, match="row 3, field 'at': 'noon' is no date and time; expected a time such as"):
        clock.timed(frame, ["at"], Checker(path, Options()))
    check = Checker(path, Options(lenient=True))
    assert clock.timed(frame, ["at"], check)["at"].to_list() == [1_585_699_200_000_000, None]
    assert check.dropped == {"at: is no date and time": 1}


def test_the_earliest_of_a_file(write):
    path = write("t.csv", "a,at\n1,2020-04-02 00:00:00\n2,2020-04-01 00:00:00\n3,noon\n4,\n5,6,7\n")
    assert clock.earliest(path, Options(), "at") == 1_585_699_200_000_000
    assert clock.earliest(write("u.csv", "a,at\n"), Options(), "at") == 0
    with pytest.raises(InputError, match="field 'at': the column is missing"):
        clock.earliest(write("v.csv", "a\n1\n"), Options(), "at")
