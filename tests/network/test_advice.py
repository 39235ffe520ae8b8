"""The rules by which a mode of kube-proxy is chosen, one by one, and borders between numbers of Services."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network import proxies
from kscale.network.advice import DEFAULT, LIMITS, RULES, Asked, Range, Verdict, choose, known, ranges, verdict
from kscale.network.curve import Rates
from kscale.network.ports import Ports
from kscale.network.proxies import Platform

MODES = proxies.found()


def judged(mode, services=1_000, kubernetes=(1, 34), kernel=(6, 12), scheduler="", **options):
    asked = Asked(Platform(kubernetes, kernel), scheduler)
    return verdict(MODES[mode], Ports.uniform(services, 10), asked, options, Rates(), known())


def one(name, cores=0.1, worst=0.5, refused="", ends=False):
    return Verdict(MODES[name], name, refused, {"cores": cores}, {"CPU": worst, "start": worst / 2}, ends)


def test_every_rule_is_of_a_kind_and_its_limit_is_a_parameter():
    names = {row.name for row in known()}
    assert {rule.kind for rule in RULES} == {"must", "limit", "choice"}
    for rule in RULES:
        assert (rule.refuses is not None) == (rule.kind == "must")
        assert bool(rule.column) == (rule.kind == "limit")
        assert rule.limit in names if rule.kind == "limit" else rule.limit in {"", *names}
    assert {rule.limit for rule in RULES if rule.limit} | {"endpoint_changes_per_day"} == {row.name for row in LIMITS}


def test_the_page_on_proxies_has_every_rule():
    page = (Path(__file__).parents[2] / "docs" / "proxies.md").read_text()
    for rule in RULES:
        row = f"| {rule.kind} | {rule.name} | {rule.says} |"
        assert row in page
        assert not rule.limit or f"{row} `{rule.limit}` |" in page


@pytest.mark.parametrize(
    ("mode", "kubernetes", "refused"),
    [
        ("nftables", (1, 32), "stable from Kubernetes 1.33 on"), ("nftables", (1, 33), ""),
        ("ipvs", (1, 34), ""), ("ipvs", (1, 42), ""), ("ipvs", (1, 43), "removed in Kubernetes 1.43"),
        ("userspace", (1, 25), ""), ("userspace", (1, 26), "removed in Kubernetes 1.26"),
        ("iptables", (1, 1), "stable from Kubernetes 1.2 on"), ("iptables", (1, 60), ""),
    ],
)  # fmt: skip
def test_versions_rule_out(mode, kubernetes, refused):
    assert judged(mode, kubernetes=kubernetes).refused == refused


def test_kernels_and_algorithms_rule_out():
    assert judged("nftables", kernel=(5, 12)).refused == "needs a kernel of 5.13 or later"
    assert judged("nftables", kernel=(5, 13)).refused == "" == judged("iptables", kernel=(4, 4)).refused
    assert [judged(name, scheduler="lc").refused for name in MODES if name != "userspace"] == [
        "has no lc", "", "has no lc",
    ]  # fmt: skip
    assert judged("ipvs", scheduler="lc").variant == "ipvs lc"


def test_options_follow_from_the_platform_unless_they_are_given():
    def variant(kubernetes, kernel, **given):
        return judged("nftables", kubernetes=kubernetes, kernel=kernel, **given).variant

    assert variant((1, 34), (6, 10)) == "nftables chains old"
    assert variant((1, 34), (6, 11)) == variant((1, 37), (6, 11)) == "nftables chains"
    assert variant((1, 36), (6, 12)) == "nftables table"
    assert variant((1, 36), (6, 8), list="none", cache="cold") == "nftables cold old"
    # What a mode has not is not its matter.
    assert judged("iptables", scheduler="", list="none").variant == "iptables"


def test_numbers_are_held_against_limits():
    found = judged("iptables", services=5_000)
    assert found.over["first packet"] == pytest.approx(found.numbers["first_us_p99"] / 100)
    assert found.over["change"] == pytest.approx(found.numbers["change_sync_s"] + found.numbers["change_build_s"])
    assert found.worst == max(found.over.values()) and "first packet" in found.broken
    assert found.word == f"over: {', '.join(found.broken)}"
    numbers = known().replaced({"advise_first_us": 0, "advise_cores": 1e6})
    none = verdict(MODES["iptables"], Ports.uniform(5_000, 10), Asked(), {}, Rates(), numbers)
    assert none.over["first packet"] == float("inf") and "CPU" not in none.broken


def test_where_no_service_has_an_endpoint_no_packet_waits():
    found = verdict(MODES["iptables"], Ports.uniform(5, 0), Asked(), {}, Rates(), known())
    assert found.over["first packet"] == 0 and found.word == "holds"


def test_the_default_stays_unless_enough_is_saved():
    few, many = one("nftables", cores=0.06), one("nftables", cores=0.04)
    assert choose([one("iptables"), few], 0.05)[0].mode.name == "iptables"
    best, why = choose([one("iptables"), many], 0.05)
    assert best is many and why == "it holds all limits, and saves 0.06 cores a node against iptables"
    # Exactly as much is not more.
    assert choose([one("iptables", cores=0.5), one("nftables", cores=0.25)], 0.25)[0].mode.name == DEFAULT


def test_a_mode_that_ends_comes_in_only_where_no_other_holds():
    ends = one("ipvs", cores=0.0, ends=True)
    assert choose([one("iptables"), ends], 0.05)[0].mode.name == "iptables"
    best, why = choose([one("iptables", worst=2.0), ends], 0.05)
    assert best is ends and why == "it holds all limits, and iptables is over: CPU"
    worse = dataclasses.replace(ends, over={"CPU": 1.1})
    assert choose([one("iptables", worst=2.0), worse], 0.05)[0].mode.name == "iptables"


def test_where_nothing_holds_the_least_bad_is_chosen():
    best, why = choose([one("iptables", worst=3.0), one("nftables", worst=2.0, cores=9.0)], 0.05)
    assert best.mode.name == "nftables"
    assert why == "no mode holds all limits, and it is the least over them (over: CPU)"


def test_what_is_left_alone_is_chosen_and_nothing_where_nothing_is():
    only = one("ipvs", worst=9.0, ends=True)
    best, why = choose([one("iptables", refused="has no lc"), only], 0.05)
    assert best is only and why == "no other mode is left; it is over: CPU, start"
    assert choose([one("iptables", refused="x")], 0.05) == (None, "every mode is ruled out")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(MODES)), st.floats(0, 2), st.floats(0, 3), st.booleans(), st.booleans()),
        min_size=1,
        max_size=4,
        unique_by=lambda row: row[0],
    )
)
def test_no_mode_is_chosen_over_one_that_the_rules_put_before_it(rows):
    verdicts = [one(name, cores, worst, "no" if out else "", ends) for name, cores, worst, out, ends in rows]
    best, why = choose(verdicts, 0.05)
    left = [v for v in verdicts if not v.refused]
    if not left:
        assert best is None
        return
    assert best in left and why
    good = [v for v in left if v.worst <= 1]
    staying = [v for v in left if not v.ends]
    if good:
        assert best in good
        assert not best.ends or all(v.ends for v in good)
        rivals = [v for v in good if v.ends == best.ends]
        least = min(v.numbers["cores"] for v in rivals)
        default = next((v for v in rivals if v.mode.name == DEFAULT), None)
        if default is not None and default.numbers["cores"] - least <= 0.05:
            assert best is default
        else:
            assert best.numbers["cores"] == least
    else:
        assert best.worst == min(v.worst for v in (staying or left))


STEPS = st.lists(st.integers(2, 3_000), max_size=5, unique=True)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(1, 3_000), st.integers(0, 1))
def test_borders_are_exactly_where_it_is_told(steps, now, start):
    starts = sorted(steps)

    def chosen(size):
        place = sum(size >= first for first in starts) + start
        return ("even" if place % 2 else "odd", place % 3 == 0)

    found = ranges(chosen, now, 3_000)
    assert found[0].first == 1 and found[-1].last == 3_000
    for before, after in itertools.pairwise(found):
        assert after.first == before.last + 1
        assert chosen(before.last) != chosen(after.first)
    for one_ in found:
        assert chosen(one_.first) == chosen(one_.last) == (one_.mode, one_.holds)
    # Steps far enough apart are all found: as in a look at every number.
    if all(b >= 1.25 * a + 2 for a, b in zip([1, *starts], [*starts, 4_000], strict=False)):
        assert [one_.first for one_ in found] == [1, *starts]


def test_one_range_where_nothing_changes():
    assert ranges(lambda size: ("iptables", True), 7, 10) == [Range("iptables", 1, 10, True)]
    assert ranges(lambda size: ("iptables", size < 1), 1, 1) == [Range("iptables", 1, 1, False)]
