"""An algorithm outside the package: the documented example, which balances as it says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kscale.network.balancing import Algorithm, found
from kscale.network.balancing.common.inputs import Connections, Endpoints, Settings
from kscale.network.balancing.common.running import balance
from tests.network.balancing.twin import mixed
from tests.network.balancing.worlds import seed_of

PAGE = Path(__file__).parents[3] / "docs" / "adding-a-leaf.md"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the page's section, as a file of its own: kernels are read from their files."""
    text = PAGE.read_text().partition("## A balancing algorithm")[2].partition("```python\n")[2].partition("```")[0]
    path = tmp_path / "two_choices.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("two_choices", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "two_choices", module)
    spec.loader.exec_module(module)
    return module


def plain(arrival: list[int], duration: list[int], endpoints: int, seed: int) -> list[int]:
    """The rule again, by a look at all open connections."""
    chosen: list[int] = []
    for row, now in enumerate(arrival):
        opened = [
            sum(chosen[k] == one and arrival[k] + duration[k] > now for k in range(row)) for one in range(endpoints)
        ]
        one, other = ((mixed(2 * row + turn, seed) >> 32) * endpoints >> 32 for turn in (0, 1))
        chosen.append(one if opened[one] <= opened[other] else other)
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_the_example_of_the_page_balances_as_it_says(example: ModuleType, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrival, duration = np.cumsum(rng.integers(0, 5, 200)), rng.integers(1, 60, 200)
    algorithm = example.TWO_CHOICES
    assert isinstance(algorithm, Algorithm) and algorithm.name not in found()
    given = Connections(arrival, duration)
    settings = Settings(compiled=False, inactive_us=0)
    done = balance(algorithm, given, Endpoints([1] * 6), np.random.default_rng(seed), settings=settings)
    assert done.endpoint.tolist() == plain(arrival.tolist(), duration.tolist(), 6, seed_of(seed))
    assert balance(algorithm, given, Endpoints([0] * 6), np.random.default_rng(seed), settings=settings).refused == 200
