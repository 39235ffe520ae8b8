"""Rollouts, against cases worked out by hand and against a plain reading of the table, row by row."""

from __future__ import annotations

import itertools

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.report import rollouts
from kscale.report.rollouts import CREATED, LOST, NEW_TEMPLATE, SCALED
from tests.report import lives
from tests.report.play import SECOND

HORIZON = 1000 * SECOND


def measured(folder, rows):
    folder.mkdir(exist_ok=True)
    lives.table("rollouts", rows).write_parquet(folder / "rollouts.parquet")
    return rollouts.measure(folder, HORIZON)


def told(found):
    """Cause, start and end in seconds, seconds below, lowest, highest, broken; by start."""
    columns = ("name", "cause", "start_us", "end_us", "below_us", "lowest", "highest", "broken")
    rows = found.rows.select(columns).sort("start_us", "name").rows()
    return [(*row[:2], *(None if v is None else v / SECOND for v in row[2:5]), *row[5:]) for row in rows]


def test_a_rollout_by_hand(tmp_path):
    found = measured(tmp_path, lives.rolling("web", 100, 4, pace=10))
    # 2 of 4 updated pods after a second, all available at 110 and one old pod left; the rest by 120.
    assert told(found) == [("web", NEW_TEMPLATE, 100, 120, 10, 3, 6, False)]
    assert (found.finished, found.unfinished, found.broken, found.longest_us) == (1, 0, 0, 20 * SECOND)
    (course,) = found.courses
    assert (course["time_us"][0], course["time_us"][-1]) == (95 * SECOND, 120 * SECOND)


def test_a_rollout_that_does_not_finish_lasts_until_the_end(tmp_path):
    found = measured(tmp_path, lives.rolling("web", 100, 4, pace=10, stops_at=1) + lives.rolling("api", 100, 30))
    assert (found.finished, found.unfinished) == (1, 1)
    first = found.rows.row(0, named=True)
    assert (first["name"], first["end_us"], first["duration_us"]) == ("web", None, 900 * SECOND)


def test_broken_bounds_by_hand(tmp_path):
    found = measured(tmp_path, lives.broken("db", 100))
    assert told(found) == [("db", NEW_TEMPLATE, 130, 220, 60, 4, 12, True)]
    assert found.broken == 1
    assert found.courses[0].select(pl.col("short", "over").max()).row(0) == (2, 2)


def test_what_is_created_or_scaled_breaks_no_bound_on_its_way(tmp_path):
    bounds = {5: (6, 4), 9: (11, 7), 3: (4, 2)}
    rows = lives.created("web", 0)
    rows += [lives.shown(100, "web", (9, 5, 5, 5, 5, *bounds[9])), lives.shown(110, "web", (9, 9, 9, 9, 9, *bounds[9]))]
    rows += [lives.shown(200, "web", (3, 9, 9, 9, 9, *bounds[3])), lives.shown(210, "web", (3, 3, 3, 3, 3, *bounds[3]))]
    # A bound that was met once holds: this is too few.
    rows += [lives.shown(300, "web", (3, 3, 3, 1, 1, *bounds[3])), lives.shown(330, "web", (3, 3, 3, 3, 3, *bounds[3]))]
    found = measured(tmp_path, rows)
    assert told(found) == [
        ("web", CREATED, 0, 10, 10, 0, 5, False),
        ("web", SCALED, 100, 110, 10, 5, 5, False),
        ("web", SCALED, 200, 210, 0, 9, 9, False),
        ("web", LOST, 300, 330, 30, 1, 3, True),
    ]
    assert (found.changes, found.finished, found.unfinished, found.broken) == (4, 1, 0, 0)


def test_of_one_instant_the_last_row_counts(tmp_path):
    rows = [lives.shown(0, "web", (3, 3, 3, 3, 3, 4, 2)), lives.shown(5, "web", (3, 0, 0, 0, 0, 4, 2))]
    found = measured(tmp_path, [*rows, lives.shown(5, "web", (3, 3, 3, 3, 3, 4, 2))])
    assert found.changes == 0 and found.courses == () and found.longest_us is None


def test_names_are_kept_apart_and_autoscalers_are_none(tmp_path):
    rows = lives.rolling("web", 10) + lives.rolling("web", 10, kind="StatefulSet") + lives.rolling("web", 10, space="b")
    assert measured(tmp_path, rows + lives.autoscaler("web", [1, 5000])).finished == 3


def test_what_another_object_controls_has_no_rollouts_of_its_own(tmp_path):
    rows = lives.rolling("web", 10) + lives.created("web-1", 10, kind="ReplicaSet") + lives.created("a", 10)
    objects = [("Deployment", "default", "web", None, 0, *[1] * 6, None)]
    objects += [("ReplicaSet", "default", "web-1", "Deployment/web", 0, *[1] * 6, None)]
    lives.table("objects", objects).write_parquet(tmp_path / "objects.parquet")
    assert [row[0] for row in told(measured(tmp_path, rows))] == ["a", "web"]


def test_bounds_that_are_not_known_are_kept(tmp_path):
    rows = [(*row[:9], None, None, None) for row in lives.rolling("web", 10)]
    assert told(measured(tmp_path, rows))[0][-1] is False


def test_a_long_course_keeps_its_worst_moment(tmp_path):
    rows = [lives.shown(0, "web", (9, 9, 9, 9, 9, 10, 8))]
    rows += [lives.shown(1 + k / 10, "web", (9, 9, 0, 8, 2 if k == 777 else 8, 10, 8)) for k in range(5000)]
    (course,) = measured(tmp_path, rows).courses
    assert course.height <= rollouts.POINTS
    assert (course["available"].min(), course["short"].max()) == (2, 6)
    assert course["time_us"].is_sorted() and course["time_us"][-1] == rows[-1][0]


def plain(rows):
    """What the table says, row by row: the slow twin."""
    out = []
    objects = sorted({row[1:4] for row in rows})
    for key in objects:
        mine = sorted((row for row in rows if row[1:4] == key), key=lambda row: row[0])
        mine = [list(group)[-1] for _, group in itertools.groupby(mine, key=lambda row: row[0])]
        change, before, held = None, None, {"least": False, "most": False}
        for k, (at, *_, wanted, pods, updated, _ready, available, most, least, _load) in enumerate(mine):
            if before is None or least > before[10]:
                held["least"] = False
            if before is None or most < before[9]:
                held["most"] = False
            held["least"] |= available >= least
            held["most"] |= pods <= most
            beyond = (held["least"] and available < least) or (held["most"] and pods > most)
            until = mine[k + 1][0] if k + 1 < len(mine) else HORIZON
            if updated >= wanted and pods == wanted and available >= wanted:
                if change is not None:
                    out.append(change | {"end": at})
                change = None
            else:
                if change is None:
                    cause = CREATED if before is None else SCALED if before[4] != wanted else LOST
                    change = {"name": key, "cause": cause, "start": at, "below": 0, "low": available, "high": pods}
                    change |= {"broken": False, "end": None}
                change["cause"] = NEW_TEMPLATE if updated < pods else change["cause"]
                change["below"] += (until - at) * (available < wanted)
                change["low"], change["high"] = min(change["low"], available), max(change["high"], pods)
                change["broken"] |= beyond
            before = mine[k]
        if change is not None:
            out.append(change)
    return out


few = st.integers(0, 4)
counts = st.tuples(st.integers(1, 4), few, few, few, few, st.integers(2, 5), few, st.just(0))
settled = st.integers(1, 4).map(lambda n: (n, n, n, n, n, n + 1, n - 1, 0))
row = st.tuples(
    st.integers(0, 30).map(lambda s: s * SECOND), st.sampled_from(["Deployment", "DaemonSet"]),
    st.just("default"), st.sampled_from("ab"), st.one_of(counts, settled),
).map(lambda row: (*row[:4], *row[4]))  # fmt: skip


@given(rows=st.lists(row, max_size=14))
@settings(max_examples=100, deadline=None)
def test_rollouts_are_what_a_plain_reading_says(tmp_path_factory, rows):
    found = measured(tmp_path_factory.mktemp("run"), rows)
    columns = ("kind", "namespace", "name", "cause", "start_us", "end_us", "below_us", "lowest", "highest", "broken")
    ours = sorted(found.rows.select(columns).rows(), key=lambda row: (row[:3], row[4]))
    names = ("cause", "start", "end", "below", "low", "high", "broken")
    theirs = [(*one["name"], *(one[name] for name in names)) for one in plain(rows)]
    assert ours == theirs
    begun = [one for one in plain(rows) if one["cause"] in (NEW_TEMPLATE, CREATED)]
    assert found.changes == len(theirs)
    assert found.finished == sum(one["end"] is not None for one in begun)
    assert found.unfinished == sum(one["end"] is None for one in begun)
    assert found.broken == sum(one["broken"] for one in begun)
