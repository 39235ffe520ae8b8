"""Scenarios: change, as input. Files say what a user, or the world around, does to a cluster, and when.

``read`` takes the files, ``plan`` finds out before the run what each action does, and ``Script`` carries it out at the
control points of a run. docs/scenarios.md describes the files.
"""

from kscale.scenario.planning import plan
from kscale.scenario.reading import Scenario, read
from kscale.scenario.script import Action, Happened, Script

__all__ = ["Action", "Happened", "Scenario", "Script", "plan", "read"]
