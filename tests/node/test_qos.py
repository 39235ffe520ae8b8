"""Quality of service, by the table of GetPodQOS's own tests."""

from __future__ import annotations

import pytest

from kscale.node.qos import oom_score_adj, qos_class
from kscale.state.lives import BEST_EFFORT, BURSTABLE, GUARANTEED

Amounts = dict[str, int]
MI = 1 << 20
FULL: tuple[Amounts, Amounts] = ({"cpu": 100, "memory": 100 * MI}, {"cpu": 100, "memory": 100 * MI})
EMPTY: tuple[Amounts, Amounts] = ({}, {})
SOME: tuple[Amounts, Amounts] = ({"cpu": 1, "memory": 2}, {"cpu": 2, "memory": 3})


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([FULL], GUARANTEED),
        ([FULL, FULL], GUARANTEED),
        ([EMPTY], BEST_EFFORT),
        ([EMPTY, EMPTY], BEST_EFFORT),
        ([EMPTY, SOME], BURSTABLE),
        ([EMPTY, FULL], BURSTABLE),
        ([({"memory": 100}, {"memory": 100})], BURSTABLE),
        ([({"cpu": 100, "memory": 100}, {})], BURSTABLE),
        ([({"cpu": 0, "memory": 0}, {"memory": 200 * MI})], BURSTABLE),
        ([({"hugepages-2Mi": 2 * MI}, {"hugepages-2Mi": 2 * MI})], BEST_EFFORT),
    ],
)  # fmt: skip
def test_classes(containers: list[tuple[Amounts, Amounts]], expected: int) -> None:
    assert qos_class(containers) == expected


def test_what_the_pod_states_as_a_whole_decides() -> None:
    assert qos_class([EMPTY, SOME], FULL) == GUARANTEED
    assert qos_class([FULL], ({"cpu": 1}, {})) == BURSTABLE


def test_oom_score_adj() -> None:
    assert oom_score_adj(GUARANTEED, 5, 10) == -997
    assert oom_score_adj(BEST_EFFORT, 0, 10) == 1000
    assert [oom_score_adj(BURSTABLE, request, 1000) for request in (0, 1, 400, 998, 1000)] == [999, 999, 600, 3, 3]
