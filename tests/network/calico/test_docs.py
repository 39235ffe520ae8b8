"""The page on Calico says what the code does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kscale.network.calico.bgp import full_mesh, propagate, route_reflectors
from kscale.network.calico.convergence import converges
from kscale.network.calico.felix import effects
from kscale.network.calico.parameters import PARAMETERS

PAGE = (Path(__file__).parents[3] / "docs" / "calico.md").read_text()


def test_every_number_is_there_as_it_is() -> None:
    rows = [f"| `{p.name}` | {p.value:,} | {p.unit} | {p.kind} | {p.source} |" for p in PARAMETERS]
    assert PAGE.split("|---|---|---|---|---|\n")[-1].splitlines() == rows


@pytest.mark.parametrize("nodes", [100, 1000])
def test_sessions_and_updates(nodes: int) -> None:
    mesh, reflected = full_mesh(nodes), route_reflectors(nodes, 2, 2)
    sent = [int(propagate(made, np.array([nodes - 1]), np.array([0])).sent[0]) for made in (mesh, reflected)]
    told = [
        nodes, mesh.sessions, reflected.sessions, mesh.sessions_by_node[0], reflected.sessions_by_node[-1],
        reflected.sessions_by_node[0], *sent,
    ]  # fmt: skip
    assert f"| {' | '.join(f'{one:,}' for one in told)} |" in PAGE


def test_how_long_changes_take() -> None:
    mesh = full_mesh(5)
    join, crash = converges(mesh, "join"), converges(mesh, "crash")
    assert f"{join.earliest_us / 1e6:.1f} s to {join.latest_us / 1e6:.1f} s" in PAGE
    assert f"{crash.earliest_us / 1e6:.0f} s to {crash.latest_us / 1e6:.0f} s" in PAGE


@pytest.mark.parametrize(
    ("gap_us", "told"), [(1_000_000, "1 s"), (100_000, "100 ms"), (50_000, "50 ms"), (10_000, "10 ms")]
)
def test_changes_take_effect(gap_us: int, told: str) -> None:
    change = np.arange(0, 60_000_000, gap_us)
    found = effects(change, np.array([0, len(change)]), compiled=False)
    late = (found.effect_us - change) / 1000
    many = len(np.unique(found.begun_us))
    assert f"| {told} | {many} | {late.mean():.0f} ms | {late.max():.0f} ms |" in PAGE
