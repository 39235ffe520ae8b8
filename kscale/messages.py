"""What is said of pods that were not placed, in kube-scheduler's words."""

from __future__ import annotations

from kscale.scheduler import arguments, planes
from kscale.scheduler.planes import Verdicts
from kscale.scheduler.profile import Profile
from kscale.state.building import Building
from kscale.state.intake import Intake

#: What kube-scheduler says of the nodes beside the one that a DaemonSet's pod is for.
_NOT_THIS_ONE = "node(s) didn't satisfy plugin(s) [NodeAffinity]"


class Messages:
    """The words of one run, whose nodes are there from beginning to end."""

    def __init__(self, intake: Intake, building: Building, profile: Profile, verdicts: Verdicts) -> None:
        self._intake, self._building, self._profile, self._verdicts = intake, building, profile, verdicts
        self._cluster = intake.cluster

    def tell(self, counts: dict[int, int], description: int) -> str:
        """Return kube-scheduler's message for a diagnosis: counts by reason of usage, and of the description."""
        texts = self._profile.reasons(self._intake.resources)
        if description < -1:
            return self._tell_pinned([texts[reason] for reason in counts], -2 - description)
        nodes = self._cluster.sizes["node"]
        if description in self._verdicts.bars:
            return f"0/{nodes} nodes are available: {self._verdicts.bars[description][1].reason}."
        named = dict(self._verdicts.counts[description])
        for reason, count in counts.items():
            named[texts[reason]] = named.get(texts[reason], 0) + count
        return planes.message(named, nodes)

    def _tell_pinned(self, reasons: list[str], description: int) -> str:
        """Return the message for a pod that may go to one node only, which turned it away."""
        others = self._cluster.sizes["node"] - 1
        named = dict.fromkeys(reasons, 1) or dict.fromkeys(list(self._verdicts.counts[description])[:1], 1)
        return planes.message({_NOT_THIS_ONE: others, **named} if others else named, others + 1)

    def failed_status(self, template: int) -> str:
        """Return the word for a pod of the template that was not placed."""
        bar = self._verdicts.bars.get(int(self._cluster.template_description[template]))
        return "error" if bar is not None and bar[1].code == "Error" else "unschedulable"

    def held_message(self, template: int) -> str:
        """Return why pods of the template never enter the queue."""
        described = self._building.templates[template]
        if self._cluster.template_held[template] == arguments.NO_PROFILE:
            return f"no profile has the name '{described.description.profile}'"
        return f"waiting for scheduling gates: [{' '.join(described.gates)}]"
