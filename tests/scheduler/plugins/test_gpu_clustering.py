"""GpuClustering: tags of pods, by hand and against the twin."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.scheduler.plugins.gpu_clustering import clustered, count_tag
from kscale.state.tables import Cluster
from tests import naive
from tests.engine.columns import call, small
from tests.scheduler.states import State, states

#: Templates: a share, one device, two devices, none.
KINDS = ((1, 500), (1, 1000), (2, 1000), (0, 0))


def cluster() -> Cluster:
    made = small(node=1, template=4)
    for template, (count, milli) in enumerate(KINDS):
        made.template_device_count[template], made.template_device_milli[template] = count, milli
    made.node_device_free_total[0] = 4000
    return made


def score(made: Cluster, template: int) -> int:
    call(clustered, made, template, 0, 1)
    return int(made.scan_raw[0])


def test_by_hand() -> None:
    made = cluster()
    assert score(made, 0) == 12 + 25  # 25 * 4000 / 8000 = 12.5, and no device pods
    call(count_tag, made, 0, 0, 1)
    made.node_device_free_total[0] = 3500
    assert score(made, 0) == 14 + 75  # 25 * 4500 / 8000 = 14.06, its only tag
    assert score(made, 1) == 14  # only other tags
    call(count_tag, made, 1, 0, 1)
    made.node_device_free_total[0] = 2500
    assert score(made, 0) == score(made, 1) == 17 + 50  # 25 * 5500 / 8000 = 17.2, among others
    assert score(made, 2) == 17
    assert score(made, 3) == 0  # no devices
    call(count_tag, made, 0, 0, -1)
    made.node_device_free_total[0] = 3000
    assert score(made, 1) == 15 + 75  # 25 * 5000 / 8000 = 15.6


def test_tags_are_counted_per_pod() -> None:
    made = cluster()
    for template, sign in ((0, 1), (0, 1), (1, 1), (2, 1), (3, 1), (0, -1)):
        call(count_tag, made, template, 0, sign)
    # Tag 0 is a share, tag k is k whole devices; a pod without devices has none.
    assert made.node_tag_pods[0].tolist() == [1, 1, 1]


def test_many_devices_in_parts_are_tagged_by_their_number() -> None:
    made = cluster()
    made.template_device_milli[2] = 500
    call(count_tag, made, 2, 0, 1)
    assert made.node_tag_pods[0].tolist() == [0, 0, 1]


@settings(deadline=None)
@given(states(), st.data())
def test_it_agrees_with_the_twin(state: State, data: st.DataObject) -> None:
    spec = data.draw(st.integers(0, len(state.specs) - 1))
    assert state.scores("GpuClustering", spec) == state.twin_scores(naive.gpu_clustering, spec)


@pytest.mark.parametrize("used", range(0, 8001, 160))
def test_the_use_of_devices_is_truncated(used: int) -> None:
    made = cluster()
    made.node_device_free_total[0] = 8000 - used
    assert score(made, 0) == 25 * used // 8000 + 25
