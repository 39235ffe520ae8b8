"""Which algorithm a mode has, and that each spreads all that comes."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.engine.load import Constant
from kscale.errors import InputError
from kscale.network.balancing import Algorithm, found
from kscale.network.proxies import found as modes
from kscale.network.traffic import choosing
from kscale.network.traffic.choosing import Choice, algorithm_for
from kscale.network.traffic.clients import Clients, Open, Stream
from kscale.network.traffic.durations import phases
from kscale.network.traffic.spreading import Segment
from kscale.network.traffic.views import BEFORE_US, Where
from tests.network.traffic import plain


def test_modes_and_schedulers_have_one() -> None:
    for name, mode in modes().items():
        schedulers = next((option.choices for option in mode.options if option.name == "scheduler"), ("",))
        for scheduler in schedulers:
            if scheduler in ("fo", "ovf"):
                with pytest.raises(InputError, match=f"no algorithm is called '{scheduler}'"):
                    algorithm_for(name, scheduler)
            else:
                assert algorithm_for(name, scheduler).name == (scheduler or name)


def test_an_algorithm_that_nothing_is_known_of_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = Algorithm("strange", "ipvs", "by the weather", lambda connection, node, now_us: -1)
    monkeypatch.setattr(choosing, "algorithm_of", lambda name: strange)
    with pytest.raises(InputError, match="nothing says what 'strange' comes to"):
        algorithm_for("ipvs", "strange")


@pytest.mark.parametrize("affinity_us", [0, 1_000_000])
@pytest.mark.parametrize("name", sorted(found()))
def test_every_algorithm_spreads_all_that_comes(name: str, affinity_us: int) -> None:
    choice = Choice(found()[name], plain.NODES, np.random.default_rng(3), affinity_us, compiled=False)
    stream = Stream(Constant(2_000_000_000), Clients(np.arange(8) + 40, np.arange(8) % plain.NODES), Open(phases(9, 0)))
    versions = [plain.version(0, [0, 1, 3], [BEFORE_US] * plain.NODES), plain.version(1, [1, 2], [300, 600, 900, 5000])]
    segment = Segment(0, 1000, versions, Where(np.full(plain.NODES, -1)), np.arange(plain.ROWS))
    (spread,) = choice.spread_all(segment, [stream], np.zeros(plain.ROWS, bool))
    assert abs(spread.ready.sum() - 2000) < 5 * np.sqrt(2000)
    assert spread.refused == spread.draining.sum() == spread.ready[4] == 0
    # No endpoint is on all lists for long enough to get all.
    assert np.count_nonzero(spread.ready) >= 2
