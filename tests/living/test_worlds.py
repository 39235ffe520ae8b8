"""Random clusters whose workloads are changed at random: invariants at every control point, and how they end."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings

from kscale.errors import InputError
from kscale.simulation import Simulation
from tests.living import ends
from tests.living.stage import live, simulation
from tests.living.worlds import Drawn, worlds


def staged(drawn: Drawn) -> Simulation:
    try:
        return simulation(drawn.objects, drawn.actions, limited=drawn.limited, minutes=15)
    except InputError as error:
        # The change before changed nothing, or it is paused.
        assume("rollback" not in str(error) and "is paused" not in str(error))
        raise


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds())
def test_every_workload_ends_complete_or_says_why_not(drawn: Drawn) -> None:
    made = live(staged(drawn))
    assert made.control_points > 3
    ends.check(made.living.world, disturbed=drawn.disturbed)
