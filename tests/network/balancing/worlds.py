"""Small worlds: connections that come together and apart, endpoints that drain, come, go and die."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Lives, Settings
from kscale.network.balancing.common.running import Balanced, balance
from tests.network.balancing.twin import DAY, MINUTE, Twin

ARRAYS = (
    "endpoint", "wait_us", "connections", "busy_us", "most_active", "lost", "lost_first_us", "lost_last_us", "broken",
    "retried",
)  # fmt: skip


def seed_of(rng_seed: int) -> int:
    """The seed that a run draws from a generator of this seed."""
    return int(np.random.default_rng(rng_seed).integers(0, 1 << 62, 1)[0])


def world(seed: int, weights: int = 5) -> dict[str, Any]:
    rng = Random(seed)
    endpoints, rows = rng.randint(1, 7), rng.randint(1, 60)
    gaps = rng.choice([(0, 1, 2), (0, 10, 300), (1, 200_000, 900_000), (0, 5_000_000, 7 * MINUTE), (0, 9, DAY)])
    arrival = np.cumsum([rng.choice(gaps) for _ in range(rows)])
    horizon = int(arrival[-1]) + 1
    durations = rng.choice([(0, 1, 3), (5, 40, 1000), (10, 100_000, 3_000_000), (horizon // 3, horizon)])

    def rows_of(most: int) -> Any:
        return rng.choice([None, np.array([rng.randint(0, most) for _ in range(rows)])])

    changed = sorted(rng.randint(0, horizon) for _ in range(rng.choice([0, 0, 3, 8])))
    lives = []
    for endpoint in range(endpoints):
        if rng.random() < 0.4:
            times = sorted(rng.sample(range(-horizon - 5, horizon + 5), 4))
            lives += [(endpoint, *times[:2]), (endpoint, *times[2:])][: rng.randint(1, 2)]
    rng.shuffle(lives)
    return {
        "connections": Connections(
            arrival, np.array([rng.choice(durations) for _ in range(rows)]), rows_of(6), rows_of(2), rows_of(3)
        ),
        "endpoints": Endpoints(
            np.array([rng.choice([-1, 0, 1, 1, rng.randint(1, weights)]) for _ in range(endpoints)]),
            rng.choice([None, np.array([rng.randint(0, 3) for _ in range(endpoints)])]),
        ),
        "changes": Changes(
            np.array(changed, np.int64), np.array([rng.randrange(endpoints) for _ in changed], np.int64),
            np.array([rng.choice([-1, 0, 1, rng.randint(1, weights)]) for _ in changed], np.int64),
        ),
        "lives": Lives(*(np.array([life[part] for life in lives], np.int64) for part in range(3))),
        "settings": Settings(
            affinity_us=rng.choice([0, 0, 1, 50, 2_000_000, DAY]), inactive_us=rng.choice([0, 1, 120_000_000]),
            slow_start_us=rng.choice([0, horizon // 2 + 1]), slow_start_milli=rng.choice([1000, 2500, 1]),
            compiled=False,
        ),
    }  # fmt: skip


def run(name: str, made: dict[str, Any], seed: int) -> Balanced:
    return balance(
        name, made["connections"], made["endpoints"], np.random.default_rng(seed), changes=made["changes"],
        lives=made["lives"], settings=made["settings"],
    )  # fmt: skip


def same(name: str, made: dict[str, Any], seed: int) -> Balanced:
    """Run a world and its twin, and hold every result of the two equal."""
    result = run(name, made, seed)
    twin = Twin(
        name, made["connections"], made["endpoints"], seed_of(seed), made["changes"], made["lives"], made["settings"]
    )
    for array in ARRAYS:
        assert getattr(result, array).tolist() == getattr(twin, array), array
    return result
