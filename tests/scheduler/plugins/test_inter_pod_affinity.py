"""InterPodAffinity: who may share a domain with whom, who would rather, and whom an event may help."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kscale.scheduler.configuration import ProfileConfiguration, SchedulerConfiguration
from kscale.scheduler.counting import count_pod
from kscale.scheduler.plugins.inter_pod_affinity import (
    INTER_POD,
    company,
    company_points,
    may_welcome,
    unwelcome,
)
from kscale.simulation import Settings, Simulation
from kscale.state.descriptions import PodTemplate, PodTerm, Selector, Surroundings
from kscale.state.labels import Requirement
from tests.engine.columns import call
from tests.objects import DEFAULTS, HOSTNAME, selector, simulation_of

#: Two nodes in zone a, one in zone b, one without a zone.
NODES: list[dict[str, Any]] = [{"labels": "zone=a"}, {"labels": "zone=a"}, {"labels": "zone=b"}, {}]
X, Y = (("app", "x"),), (("app", "y"),)
NAMESPACES = Surroundings(namespaces={"default": {}, "other": {"team": "o"}, "third": {"team": "t"}})
REASONS = {-2: "f", -3: "o", -5: "e"}


def term(key: str = "zone", app: Selector | None = None, **fields: Any) -> PodTerm:
    return replace(PodTerm(key, app or selector("app", "x"), ("default",)), **fields)


def group(*templates: PodTemplate, settings: Settings = DEFAULTS) -> Simulation:
    return simulation_of(NODES, list(templates), [], settings, surroundings=NAMESPACES)


def place(made: Simulation, template: int, node: int, sign: int = 1) -> None:
    call(count_pod, made.cluster, template, node, sign)


def verdicts(made: Simulation, template: int = 0, before: str = "++++") -> str:
    """Per node: ``+`` fits, ``f`` by affinity, ``o`` by own anti-affinity, ``e`` by that of pods that are there."""
    sums = np.array([0 if mark == "+" else -1 for mark in before], np.int32)
    call(unwelcome, made.cluster, template, 0, len(sums), 0, sums)
    return "".join("+" if code == 0 else REASONS.get(code, "-") for code in sums.tolist())


# Required terms


def test_affinity_wants_a_pod_in_the_domain() -> None:
    made = group(PodTemplate(affinity=(term(),)), PodTemplate(labels=X), PodTemplate(labels=Y))
    place(made, 2, 0)
    assert verdicts(made) == "ffff"  # is no x itself
    place(made, 1, 1)
    assert verdicts(made) == "++ff"
    place(made, 1, 3)  # where no zone is, nobody is in company
    assert verdicts(made) == "++ff"
    place(made, 1, 1, -1)
    assert verdicts(made) == "ffff"


def test_the_first_of_a_group_may_go_where_the_key_is() -> None:
    made = group(PodTemplate(labels=X, affinity=(term(),)))
    assert verdicts(made) == "+++f"
    place(made, 0, 2)
    assert verdicts(made) == "ff+f"


def test_all_terms_must_be_matched_by_the_same_pods() -> None:
    terms = (term(), term(HOSTNAME, selector("tier", "f")))
    both = PodTemplate(labels=(("app", "x"), ("tier", "f")))
    made = group(PodTemplate(affinity=terms), PodTemplate(labels=X), PodTemplate(labels=(("tier", "f"),)), both)
    place(made, 1, 0)
    place(made, 2, 0)
    assert verdicts(made) == "ffff"
    place(made, 3, 1)
    assert verdicts(made) == "f+ff"


def test_own_anti_affinity_and_that_of_pods_that_are_there() -> None:
    made = group(PodTemplate(labels=X, anti_affinity=(term(),)), PodTemplate(labels=X), PodTemplate(labels=Y))
    place(made, 1, 0)
    assert [verdicts(made, template) for template in range(3)] == ["oo++", "++++", "++++"]
    place(made, 1, 0, -1)
    place(made, 0, 2)
    # Its own term is told before that of the pod that is there.
    assert [verdicts(made, template) for template in range(3)] == ["++o+", "++e+", "++++"]
    place(made, 0, 3)
    assert [verdicts(made, template) for template in range(3)] == ["++o+", "++e+", "++++"]


def test_affinity_is_told_before_anti_affinity_and_rejected_nodes_stay() -> None:
    made = group(
        PodTemplate(affinity=(term(app=selector("app", "y")),), anti_affinity=(term(),)), PodTemplate(labels=X)
    )
    place(made, 1, 0)
    assert verdicts(made) == "ffff"
    assert verdicts(made, before="-+-+") == "-f-f"


def test_namespaces_by_name_and_by_their_labels() -> None:
    team = Selector((Requirement("team", "In", ("o",)),))
    made = group(
        PodTemplate(affinity=(term(),)),
        PodTemplate(affinity=(term(namespaces=("other", "third")),)),
        PodTemplate(affinity=(term(namespaces=(), namespace_selector=team),)),
        PodTemplate(affinity=(term(namespaces=(), namespace_selector=Selector()),)),  # every namespace
        PodTemplate(affinity=(term(namespaces=("third",), namespace_selector=team),)),
        PodTemplate(labels=X, namespace="other"),
        PodTemplate(labels=X, namespace="third"),
    )
    place(made, 5, 0)
    place(made, 6, 2)
    assert [verdicts(made, template) for template in range(5)] == ["ffff", "+++f", "++ff", "+++f", "+++f"]


def test_a_missing_selector_selects_nobody_and_an_empty_one_all() -> None:
    nobody, everybody = PodTerm("zone", None, ("default",)), PodTerm("zone", Selector(), ("default",))
    made = group(
        PodTemplate(anti_affinity=(nobody,)), PodTemplate(affinity=(nobody,)), PodTemplate(anti_affinity=(everybody,)),
        PodTemplate(labels=Y),
    )  # fmt: skip
    place(made, 3, 0)
    assert [verdicts(made, template) for template in range(3)] == ["++++", "ffff", "oo++"]


# Points


def raw(made: Simulation, template: int = 0, fits: str = "++++") -> tuple[list[int], list[int]]:
    """The raw scores, and what twofold points add to the sums."""
    sums = np.array([10 if mark == "+" else -1 for mark in fits], np.int32)
    assert call(company, made.cluster, template, sums)
    found = made.cluster.scan_wide.tolist()
    call(company_points, made.cluster, template, 2, sums)
    return found, [total - 10 if total >= 0 else total for total in sums.tolist()]


def test_preferences_by_hand() -> None:
    made = group(
        PodTemplate(
            preferred_affinity=((5, term()), (1, term(HOSTNAME))),
            preferred_anti_affinity=((20, term(app=selector("app", "y"))),),
        ),
        PodTemplate(labels=X),
        PodTemplate(labels=Y),
    )
    for template, node in ((1, 0), (1, 0), (1, 2), (2, 2), (1, 3)):
        place(made, template, node)
    # Zone a has two, b one and a y; by node 2, 0, 1, 1.
    assert raw(made) == ([12, 10, -14, 1], [200, 2 * 92, 0, 2 * 57])  # (10 + 14) / 26, (1 + 14) / 26
    # Between the lowest and the highest of what fits.
    assert raw(made, fits="-+-+")[1] == [-1, 200, -1, 0]


def test_equal_scores_get_no_points_and_nobody_there_no_score() -> None:
    made = group(PodTemplate(preferred_affinity=((5, term()),)), PodTemplate(labels=X))
    sums = np.zeros(4, np.int32)
    assert not call(company, made.cluster, 0, sums)
    place(made, 1, 0)
    assert raw(made, fits="++--") == ([5, 5, 0, 0], [0, 0, -1, -1])
    assert raw(made, fits="----")[1] == [-1] * 4
    assert not call(company, made.cluster, 1, sums)


def test_pods_that_are_there_have_preferences_too() -> None:
    made = group(
        PodTemplate(labels=X),
        PodTemplate(preferred_affinity=((7, term()),), preferred_anti_affinity=((3, term(HOSTNAME)),)),
        PodTemplate(affinity=(term(),)),  # what is required counts 1 for the score
    )
    place(made, 1, 0)
    place(made, 1, 2)
    assert raw(made)[0] == [7 - 3, 7, 7 - 3, -0]
    place(made, 2, 2)
    assert raw(made)[0] == [4, 7, 5, 0]


def test_a_profile_weighs_the_terms_of_pods_that_are_there() -> None:
    def configured(**fields: Any) -> Simulation:
        profile = replace(ProfileConfiguration(), **fields)
        made = group(
            PodTemplate(labels=X),
            PodTemplate(labels=X, preferred_affinity=((2, term()),)),
            PodTemplate(preferred_affinity=((7, term()),), affinity=(term(),)),
            settings=Settings(configuration=SchedulerConfiguration((profile,))),
        )
        place(made, 2, 2)
        return made

    assert raw(configured())[0] == [0, 0, 8, 0]
    assert raw(configured(hard_pod_affinity_weight=30))[0] == [0, 0, 37, 0]
    assert raw(configured(hard_pod_affinity_weight=0))[0] == [0, 0, 7, 0]
    ignoring = configured(ignore_preferred_terms_of_existing_pods=True)
    assert not call(company, ignoring.cluster, 0, np.zeros(4, np.int32))
    assert raw(ignoring, 1)[0] == [0, 0, 8, 0]  # it has preferences of its own


# Hints


def test_whom_a_pod_that_comes_or_goes_may_help() -> None:
    made = group(
        PodTemplate(affinity=(term(),)),
        PodTemplate(anti_affinity=(term(), term(app=selector("tier", "f")))),
        PodTemplate(labels=X),
        PodTemplate(labels=(("app", "x"), ("tier", "f"))),
        PodTemplate(labels=X, namespace="other"),
    )
    told = {
        (template, added): [other for other in range(5) if call(may_welcome, made.cluster, template, other, added)]
        for template in (0, 1, 2) for added in (0, 1)
    }  # fmt: skip
    # Affinity: a pod that comes. Anti-affinity: one that goes and that all terms select.
    assert told == {(0, 1): [2, 3], (0, 0): [], (1, 1): [], (1, 0): [3], (2, 0): [], (2, 1): []}


@pytest.mark.parametrize(
    "template",
    [
        PodTemplate(affinity=(term(),)), PodTemplate(anti_affinity=(term(),)),
        PodTemplate(preferred_affinity=((1, term()),)), PodTemplate(preferred_anti_affinity=((1, term()),)),
    ],
)  # fmt: skip
def test_it_is_used_where_some_pod_has_terms(template: PodTemplate) -> None:
    assert INTER_POD in group(PodTemplate(), template).profile.filters
    assert INTER_POD not in group(PodTemplate(labels=X)).profile.filters
    assert (INTER_POD.weight, INTER_POD.unresolvable) == (2, (0,))
