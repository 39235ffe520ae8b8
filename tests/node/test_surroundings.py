"""What a scenario sets, as kubelets meet it: crashes of workloads, and a registry that is slow or fails."""

from __future__ import annotations

import numpy as np

from kscale.node.surroundings import Surroundings
from kscale.state.descriptions import PodTemplate
from kscale.state.lives import INIT, NEVER_RESTART, ContainerLife, PodLife, crash_mean_us
from tests.node.world import SECOND, Kubelets

WEB, SET, OTHER = ("Deployment", "default", "web"), ("ReplicaSet", "default", "web-1"), ("Job", "default", "other")
LIVES = (
    PodLife((ContainerLife(kind=INIT, run_us=0), ContainerLife(), ContainerLife(crash_mean_us=7)), crashing=(WEB,)),
    PodLife((ContainerLife(crash_millionths=5),), crashing=(SET, WEB)),
    PodLife(),
)
HOUR = 3_600 * SECOND


def crashes(surroundings: Surroundings, kubelets: Kubelets, *set_: tuple[tuple[str, str, str], float, float]) -> object:
    surroundings.apply({}, {key: (per_hour, per_start) for key, per_hour, per_start in set_})
    cluster = kubelets.cluster
    return list(zip(cluster.container_crash_mean_us.tolist(), cluster.container_crash_millionths.tolist(), strict=True))


def test_crashes_are_written_for_the_nearest_workload_and_given_up_again() -> None:
    kubelets = Kubelets(*LIVES)
    surroundings = Surroundings(kubelets.cluster, [PodTemplate(life=life) for life in LIVES])
    before = [(0, 0), (0, 0), (7, 0), (0, 5), (0, 0)]
    assert crashes(surroundings, kubelets) == before
    web = (HOUR // 2, 250_000)
    assert crashes(surroundings, kubelets, (WEB, 2, 0.25)) == [(0, 0), web, web, web, (0, 0)]
    set_ = (0, 1_000_000)
    assert crashes(surroundings, kubelets, (WEB, 2, 0.25), (SET, 0, 1)) == [(0, 0), web, web, set_, (0, 0)]
    assert crashes(surroundings, kubelets, (SET, 0, 1), (OTHER, 1, 1)) == [(0, 0), (0, 0), (7, 0), set_, (0, 0)]
    assert crashes(surroundings, kubelets) == before


def test_rates_of_crashes_become_mean_times() -> None:
    assert [crash_mean_us(rate) for rate in (0, 1, 0.5, 3_600_000, 1e-12)] == [0, HOUR, 2 * HOUR, 1000, 1 << 48]


def test_containers_crash_when_they_are_started_while_it_holds() -> None:
    life = PodLife((ContainerLife(restart=NEVER_RESTART),), NEVER_RESTART, crashing=(WEB,))
    kubelets = Kubelets(life, watch_us=0)
    surroundings = Surroundings(kubelets.cluster, [PodTemplate(life=life)])
    before = kubelets.bind()
    kubelets.run(10 * SECOND)
    surroundings.apply({}, {WEB: (0.0, 1.0)})
    during = kubelets.bind()
    kubelets.run(20 * SECOND)
    surroundings.apply({}, {})
    after = kubelets.bind()
    kubelets.run(HOUR)
    assert kubelets.cluster.life_phase[[before, during, after]].tolist() == [1, 3, 1]


def test_many_containers_crash_as_often_as_is_set() -> None:
    life = PodLife((ContainerLife(restart=NEVER_RESTART),), NEVER_RESTART, crashing=(WEB,))
    kubelets = Kubelets(life, pods=400, watch_us=0)
    Surroundings(kubelets.cluster, [PodTemplate(life=life)]).apply({}, {WEB: (2.0, 0.0)})
    for _ in range(400):
        kubelets.bind()
    kubelets.run(HOUR)
    # 1 - exp(-2) of them crash in an hour.
    assert abs((kubelets.cluster.life_phase == 3).mean() - (1 - np.exp(-2))) < 0.05


def test_pulls_that_are_asked_for_while_the_registry_fails_are_tried_again() -> None:
    there, always = ContainerLife(image="a"), ContainerLife(image="a", always_pulls=True)
    lives = [PodLife((one,), layers=(("a", (("a", 0),)),)) for one in (there, always)]
    kubelets = Kubelets(*lives, watch_us=0, requeue_us=0)
    surroundings = Surroundings(kubelets.cluster, ())
    kubelets.bind()
    kubelets.run(SECOND)
    surroundings.apply({"registry_failing": 1.0}, {})
    for template, node in ((0, 0), (1, 0), (0, 1)):
        kubelets.bind(template, node)
    kubelets.run(40 * SECOND)
    surroundings.apply({"registry_failing": 0.0}, {})
    kubelets.run(200 * SECOND)
    # 10, 20 and 40 s after the pull at 1 s; an image that is there is not asked for.
    assert (kubelets.cluster.life_slot_start_us[:4, 0] // SECOND).tolist() == [0, 1, 71, 71]


def test_a_slow_registry_slows_the_pulls_that_begin() -> None:
    life = PodLife((ContainerLife(image="a"),), layers=(("a", (("a", 50_000_000),)),))
    kubelets = Kubelets(life, nodes=4, watch_us=0, pull_bytes_per_s=10_000_000, unpack_bytes_per_s=50_000_000)
    surroundings = Surroundings(kubelets.cluster, ())
    for node, factor in enumerate((1.0, 0.1, 2.0, 1.0)):
        surroundings.apply({"registry_bandwidth": factor}, {})
        kubelets.bind(node=node)
        kubelets.run(kubelets.now)
    kubelets.run(100 * SECOND)
    # One second more is for unpacking.
    assert (kubelets.cluster.life_slot_start_us[:4, 0] // 100_000).tolist() == [60, 510, 35, 60]
    surroundings.apply({"registry_bandwidth": 1e-9}, {})
    assert kubelets.read("kubelet_pull_bytes_per_s", 0) == 1
