"""Whole runs with traffic: what a rollout, a crash and a deletion do to connections."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from kscale.errors import InputError
from kscale.network import proxies
from kscale.networking import Proxying
from kscale.simulation import Simulation
from tests.living.stage import MINUTE, Manifest, live, play, simulation, template, workload
from tests.living.test_network import FIXED, service

SECOND = 1_000_000
ROLL = {"at": "5m", "restart": "deployment/web"}
RATE = 200
TRAFFIC = {"at": "1m", "traffic": {"to": "web", "from": "deployment/front", "rate": RATE, "duration": "500ms"}}
OBJECTS = [workload("Deployment", "web", replicas=4), workload("Deployment", "front", replicas=3), service()]


def tables(made: Simulation) -> dict[str, pl.DataFrame]:
    assert made.living is not None
    return made.living.tables()


def wrong(frame: pl.DataFrame) -> pl.Series:
    return frame.select(pl.sum_horizontal("terminating", "not_ready", "gone")).to_series()


class Notes:
    """Keeps when each node knows each change."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def known(self, known: Any, endpoints: Any) -> None:
        self.seen.append(known.seen_us())


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs", "userspace"])
def test_a_rollout_by_hand(mode: str) -> None:
    """Connections go wrong only between a pod's end of readiness and the node's programming of that."""
    made = simulation(OBJECTS, [TRAFFIC, ROLL], minutes=10, proxying=Proxying.of(mode, seed=3))
    notes = Notes()
    made.living.network.listeners.append(notes)  # type: ignore[union-attr]
    live(made)
    found, pods = tables(made), made.pods()
    changes, seen = found["network_changes"], np.concatenate(notes.seen)
    deleted = {f"{row['namespace']}/{row['name']}": row["ended_us"] for row in pods.iter_rows(named=True)}
    stale = found["traffic_stale"]
    assert len(stale) == 4
    assert set(stale["why"]) == {"terminating"}
    # Slices tell of each deletion 10 ms after it, in one write: nodes stop when they know that one.
    went = changes.with_row_index("number").filter(~pl.col("measured"), pl.col("endpoints") > 0)
    for row in stale.iter_rows(named=True):
        told = went.filter(pl.col("happened_us") == row["since_us"])
        assert len(told) == 1
        assert row["until_us"] == seen[told["number"][0]].max()
        assert row["since_us"] < deleted[row["pod"]]
        open_us = row["until_us"] - row["since_us"]
        most = RATE / 1e6 * open_us / 3
        assert row["terminating"] + row["gone"] < most + 6 * np.sqrt(most) + 6
        assert row["gone"] == 0 or row["until_us"] > deleted[row["pod"]] - SECOND // 4
    # Step by step: nothing goes wrong but in the steps of these times.
    steps = found["traffic"]
    bad = steps.filter(wrong(steps) > 0)
    assert (bad["time_us"] >= 5 * MINUTE).all()
    assert (bad["time_us"] < stale["until_us"].max()).all()
    assert wrong(steps).sum() == wrong(stale).sum() == wrong(found["traffic_endpoints"]).sum()
    assert (wrong(steps).sum() > 0) == (mode != "none")
    assert steps["refused"].sum() == 0


def test_numbers_of_a_rollout() -> None:
    """Every sync takes half a second, so that nodes are late by 0.5 to 2.7 s."""
    numbers = proxies.parameters().replaced(FIXED)
    heavy = {"at": "1m", "traffic": {**TRAFFIC["traffic"], "rate": 20_000}}  # type: ignore[dict-item]
    found = tables(play(OBJECTS, [heavy, ROLL], minutes=7, proxying=Proxying.of(numbers=numbers, seed=3)))
    steps, stale = found["traffic"], found["traffic_stale"]
    calm = steps.filter(pl.col("time_us") >= MINUTE, pl.col("time_us") < 5 * MINUTE)
    assert (calm["connections"] - 200_000).abs().max() < 5 * np.sqrt(200_000)  # type: ignore[operator]
    assert calm["most_over_mean"].max() < 1.02  # type: ignore[operator]
    assert calm["jain"].min() > 0.9998  # type: ignore[operator]
    # 20,000 a second for half a second each.
    assert (calm["open"][1:] - 10_000).abs().max() < 500  # type: ignore[operator]
    # Rules have three to five pods meanwhile; nodes differ by a tenth of a second.
    for row in stale.iter_rows(named=True):
        late_s = (row["until_us"] - row["since_us"]) / 1e6
        assert 0.5 < late_s < 2.7
        count = row["terminating"] + row["gone"]
        assert 20_000 / 5 * (late_s - 0.2) * 0.95 < count < 20_000 / 3 * late_s * 1.05
    # What each had open when its end was near: of connections that last half a second.
    cut = found["traffic_endpoints"]["cut"].sum()
    assert cut == steps["cut"].sum()
    assert 4 * 20_000 / 5 * 0.5 * 0.8 < cut < 4 * 20_000 / 3 * 0.5


def test_clients_are_where_their_pods_are() -> None:
    """Nobody connects before its pods run, and after they are gone."""
    early = {"at": "0s", "traffic": {"to": "web", "from": "deployment/front", "rate": 100}}
    scale = [{"at": "3m", "scale": {"target": "deployment/front", "replicas": 0}},
             {"at": "5m", "scale": {"target": "deployment/front", "replicas": 1}}]  # fmt: skip
    steps = tables(play(OBJECTS, [early, *scale], minutes=8))["traffic"]
    counts = dict(steps.select("time_us", "connections").iter_rows())
    assert 500 < counts[0] < 1000
    assert all(counts[at] == 0 for at in counts if 190 * SECOND <= at < 5 * MINUTE)
    assert all(800 < counts[at] < 1200 for at in counts if 320 * SECOND <= at < 8 * MINUTE)


def test_without_endpoints_all_is_refused() -> None:
    scale = {"at": "3m", "scale": {"target": "deployment/web", "replicas": 0}}
    found = tables(play(OBJECTS, [TRAFFIC, scale], minutes=8))
    late = found["traffic"].filter(pl.col("time_us") > 3 * MINUTE + 10 * SECOND)
    assert (late["refused"] == late["connections"]).all()
    assert late["connections"].sum() > 0
    assert found["traffic"].filter(pl.col("time_us") < 3 * MINUTE)["refused"].sum() == 0


def test_a_pod_that_is_not_ready_is_told_apart() -> None:
    """Its application hangs: the readiness probe fails, slices tell so, and nodes know later."""
    pods = template("web", notes={"kscale.dev/hangs-after": "3m"})
    pods["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"port": 80}, "periodSeconds": 5}
    web = workload("Deployment", "web", replicas=2)
    web["spec"]["template"] = pods
    found = tables(play([web, OBJECTS[1], service()], [TRAFFIC], minutes=8))
    stale = found["traffic_stale"]
    assert "not ready" in set(stale["why"])
    assert found["traffic"]["not_ready"].sum() > 0
    assert found["traffic"]["gone"].sum() == 0


def test_local_traffic_is_refused_where_no_endpoint_is() -> None:
    alone = [workload("Deployment", "web", replicas=1), service(internalTrafficPolicy="Local")]
    everywhere = {"at": "1m", "traffic": {"to": "web", "rate": 300}}
    steps = tables(play(alone, [everywhere], minutes=4))["traffic"]
    # One of three nodes has it.
    assert abs(steps["refused"].sum() / steps["connections"].sum() - 2 / 3) < 0.02


def test_a_service_that_is_deleted_refuses() -> None:
    found = tables(play(OBJECTS, [TRAFFIC, {"at": "3m", "delete": "service/web"}], minutes=6))
    late = found["traffic"].filter(pl.col("time_us") > 3 * MINUTE + 10 * SECOND)
    assert (late["refused"] == late["connections"]).all()
    assert found["traffic_endpoints"]["connections"].sum() > 0


@pytest.mark.parametrize(("mode", "scheduler"), [("iptables", ""), ("ipvs", "rr"), ("ipvs", "sh"), ("ipvs", "lc")])
def test_the_same_seed_gives_the_same(mode: str, scheduler: str) -> None:
    def run(seed: int, threads: int = 1) -> dict[str, pl.DataFrame]:
        options = {"scheduler": scheduler} if scheduler else {}
        how = Proxying.of(mode, options, seed=seed, threads=threads)
        found = tables(play(OBJECTS, [TRAFFIC, ROLL], minutes=6, proxying=how))
        return {name: found[name] for name in ("traffic", "traffic_endpoints", "traffic_stale")}

    first, again, other = run(1), run(1, threads=3), run(2)
    assert all(first[name].equals(again[name]) for name in first)
    assert not first["traffic"].equals(other["traffic"])


def test_traffic_changes_nothing_else() -> None:
    quiet, busy = play(OBJECTS, [ROLL], minutes=6), play(OBJECTS, [TRAFFIC, ROLL], minutes=6)
    assert quiet.pods().equals(busy.pods())
    name = "network_changes"
    assert tables(quiet)[name].equals(tables(busy)[name])
    assert all(tables(quiet)[one].is_empty() for one in ("traffic", "traffic_endpoints", "traffic_stale"))


def test_traffic_needs_proxies() -> None:
    with pytest.raises(InputError, match="needs kube-proxies"):
        simulation(OBJECTS, [TRAFFIC], proxying=Proxying.of("none"))
    made: Manifest = simulation(OBJECTS, [ROLL], proxying=Proxying.of("none"))  # type: ignore[assignment]
    assert made
