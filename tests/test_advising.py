"""From Services to a mode: what a dump and a trace amount to, the sizes at which the advice changes, the calendar."""

from __future__ import annotations

import dataclasses
import itertools
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale import advising
from kscale.advising import Wish, advise, of_counts
from kscale.errors import InputError
from kscale.network import proxies
from kscale.network.advice import Asked, choose, known
from kscale.network.proxies import Platform
from kscale.traces import PODS, Trace

MODES = proxies.found()


def wish(kubernetes=(1, 34), kernel=(6, 8), scheduler="", **rest) -> Wish:
    return Wish(Asked(Platform(kubernetes, kernel), scheduler), **rest)


def chosen(shape, asked, services):
    """Return what is chosen for one number of Services, by itself."""
    best, _ = choose(advising.verdicts(shape, asked, services), asked.numbers["advise_saving_cores"])
    return best.mode.name, not best.broken


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40_000), st.integers(0, 40), st.sampled_from([(1, 25), (1, 34), (1, 36), (1, 44)]),
    st.sampled_from([(5, 4), (6, 8), (6, 12)]), st.floats(0, 20_000), st.sampled_from([None, 0.0, 0.5, 5.0]),
)  # fmt: skip
def test_the_advice_changes_exactly_at_the_sizes_told(services, endpoints, kubernetes, kernel, rate, changes):
    asked = wish(kubernetes, kernel, connections_rate=rate, changes_rate=changes)
    shape = of_counts(services, endpoints).shape
    made = advise(shape, asked)
    assert made.ranges[0].first == 1 and made.ranges[-1].last == max(advising.FAR, 2 * services)
    for before, after in itertools.pairwise(made.ranges):
        assert after.first == before.last + 1
        assert chosen(shape, asked, before.last) == (before.mode, before.holds)
        assert chosen(shape, asked, after.first) == (after.mode, after.holds)
        assert (before.mode, before.holds) != (after.mode, after.holds)
    mine = next(one for one in made.ranges if one.first <= services <= one.last)
    assert (made.mode, made.mode_now) == (mine.mode, mine.mode)


def test_iptables_gives_way_to_nftables_as_services_become_many():
    made = advise(of_counts(100, 10).shape, wish(kernel=(6, 12)))
    assert made.mode == "iptables"
    assert [(one.mode, one.holds) for one in made.ranges][:2] == [("iptables", True), ("nftables", True)]
    # Where a small part of what iptables costs is saved, or its first packet is over its limit: some thousands.
    assert 1_000 < made.ranges[1].first < 5_000
    grown = advise(of_counts(100, 10).shape, wish(kernel=(6, 12), growth=50.0))
    assert (grown.services, grown.mode_now, grown.mode) == ((100, 5_000), "iptables", "nftables")
    assert grown.ranges == made.ranges
    old = advise(of_counts(5_000, 10).shape, wish(kernel=(5, 4)))
    assert (old.mode, old.mode_on_newer) == ("iptables", "nftables")
    assert "on a kernel of 6.11 or later nftables suits" in advising.warnings(old, wish(kernel=(5, 4)))


def test_changes_grow_with_services():
    shape = of_counts(1_000, 10).shape
    assert advising.rates_of(shape, wish(changes_rate=2.0), 500).changes == 1.0
    assert advising.rates_of(shape, wish(), 2_000).changes == pytest.approx(20_000 * 2 / 86_400)
    assert advising.rates_of(shape, wish(connections_rate=7.0), 2_000).connections == 7.0


def test_an_algorithm_that_only_ipvs_has():
    made = advise(of_counts(500, 10).shape, wish(scheduler="lc"))
    assert made.mode == "ipvs" and made.why == "no other mode is left; it holds all limits"
    (note, *_) = advising.warnings(made, wish(scheduler="lc"))
    assert note.startswith("ipvs is deprecated from 1.35, behind a gate from 1.37, off by default from 1.40, removed")
    off = wish((1, 41), scheduler="lc")
    assert "in Kubernetes 1.41 the feature gate of ipvs must be turned on" in advising.warnings(made, off)
    with pytest.raises(InputError, match=r"no mode of kube-proxy is left \(iptables: has no lc; ipvs: removed in"):
        advise(of_counts(500, 10).shape, wish((1, 43), scheduler="lc"))


def test_limits_can_be_others():
    numbers = known().replaced({"advise_first_us": 1e6, "advise_cores": 1e6, "advise_saving_cores": 1e6,
                                "advise_change_s": 1e6, "advise_start_s": 1e9})  # fmt: skip
    made = advise(of_counts(5_000, 10).shape, wish(numbers=numbers))
    assert made.mode == "iptables" and len(made.ranges) == 1


def test_the_calendar():
    rows = {row["mode"]: row for row in advising.calendar(wish((1, 37)))}
    assert rows["ipvs"] == {
        "mode": "ipvs", "in 1.37": "gated", "stable": "1.11", "deprecated": "1.35", "gate": "1.37", "off": "1.40",
        "removed": "1.43", "kernel": "-",
    }  # fmt: skip
    assert rows["userspace"]["removed"] == "1.26" and rows["userspace"]["in 1.37"] == "removed"
    assert rows["nftables"]["stable"] == "1.33" and rows["nftables"]["kernel"] == "5.13"
    words = [
        {row["mode"]: row[f"in 1.{minor}"] for row in advising.calendar(wish((1, minor)))}
        for minor in (25, 34, 35, 40, 43)
    ]
    assert [row["ipvs"] for row in words] == ["available", "available", "deprecated", "off", "removed"]
    assert [row["nftables"] for row in words[:2]] == ["not stable", "available"]
    assert words[0]["userspace"] == "available"


def trace(*pods, timed=True) -> Trace:
    rows = [
        (f"p{number}", "default", owner, start, lasts, None, 0) for number, (owner, start, lasts) in enumerate(pods)
    ]
    return Trace("own", pl.DataFrame(rows, schema=PODS, orient="row"), pl.DataFrame(), timed=timed)


def test_owners_of_a_trace_are_taken_for_services():
    second = 1_000_000
    found = advising.of_trace(
        trace(("a", 0, 10 * second), ("a", second, None), (None, 0, None), ("b", 4 * second, second), ("b", 0, second)),
        "pods.csv",
    )  # fmt: skip
    assert found.shape.ports.endpoints.tolist() == [1, 1]  # at 0 seconds, when both have pods for the first time
    # Four arrivals and three ends in ten seconds.
    assert found.changes == pytest.approx(0.7)
    assert "each owner of 2 is taken for a Service" in found.notes[0]
    untimed = advising.of_trace(trace(("a", 0, None), ("a", 1, None), ("b", 2, None), timed=False), "pods.csv")
    assert untimed.shape.ports.endpoints.tolist() == [2, 1] and untimed.changes is None


@pytest.mark.parametrize(
    ("pods", "line"),
    [
        (((None, 0, None),), "pods.csv, field 'owner': has no owners of pods"),
        ((("a", 5, 0),), "pods.csv, field 'duration': has no pod that runs for a while"),
    ],
)
def test_traces_that_suggest_no_services(pods, line):
    with pytest.raises(InputError) as fault:
        advising.of_trace(trace(*pods), "pods.csv")
    assert line in str(fault.value)


def test_dumps_and_traces_are_told_apart(tmp_path):
    service = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}
    (tmp_path / "dump").mkdir()
    (tmp_path / "dump" / "a.json").write_text(json.dumps(service))
    (tmp_path / "pods.csv").write_text("name,owner,arrival,duration,cpu\na-1,a,0,10,1\na-2,a,1,10,1\n")
    for path in ("dump", "dump/a.json"):
        assert advising.read([str(tmp_path / path)], 1 << 20).shape.services == 1
    found = advising.read([str(tmp_path / "pods.csv")], 1 << 20)
    assert found.shape.ports.endpoints.tolist() == [1]


def test_a_dump_is_noted():
    found = advising.of_dump(
        dataclasses.replace(_dump(), left_out={"headless": 2}, origins={"slices": 3, "pods": 2, "nowhere": 1}, node="a")
    )
    assert found.notes == (
        "Services without EndpointSlices: their endpoints are the pods that they select and that are ready: 2",
        "Services without endpoints: 1", "headless Services, for which kube-proxy writes nothing: 2",
        "as seen from the node a, which has the most endpoints",
    )  # fmt: skip
    assert (found.kernel, found.kubernetes, found.changes) == ((6, 1), (1, 35), None)


def _dump():
    from kscale.network.dump import Dump
    from kscale.network.ports import Ports

    return Dump(Ports.uniform(6, 2), "", {}, {}, 0, (6, 1), (1, 35))


def test_options_and_algorithms_that_are_none_are_told():
    shape = of_counts(10, 1).shape
    with pytest.raises(InputError, match="field '--option': no mode has 'tables'; did you mean 'table'"):
        advise(shape, wish(options={"tables": "fixed"}))
    with pytest.raises(InputError, match="field 'table': there is no 'fix'; did you mean 'fixed'"):
        advise(shape, wish(options={"table": "fix"}))
    with pytest.raises(InputError, match="field '--need-scheduler': there is no 'wlcc'; did you mean 'wlc'"):
        advise(shape, wish(scheduler="wlcc"))
    with pytest.raises(InputError, match="field '--growth': makes 10,000,000 Services; expected 1 to 1,000,000"):
        advise(shape, wish(growth=1e6))


def test_the_table_by_size_has_the_modes_that_are_left():
    frame = advising.by_size(of_counts(300, 2).shape, wish((1, 43)))
    assert set(frame["mode"]) == {"iptables", "nftables"}
    assert 300 in frame["services"] and frame["services"].max() == advising.FAR
