"""Profiles from the text of a KubeSchedulerConfiguration."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

DEFAULT = "default-scheduler"
POINTS = ("preEnqueue", "preFilter", "filter", "postFilter", "preScore", "score")
#: The default plug-ins in their order, with the points that they extend and their weights.
PLUGINS: dict[str, tuple[tuple[str, ...], int]] = {
    "SchedulingGates": (("preEnqueue",), 0),
    "PrioritySort": ((), 0),
    "NodeUnschedulable": (("filter",), 0),
    "NodeName": (("filter",), 0),
    "TaintToleration": (("filter", "preScore", "score"), 3),
    "NodeAffinity": (("preFilter", "filter", "preScore", "score"), 2),
    "NodePorts": (("preFilter", "filter"), 0),
    "NodeResourcesFit": (("preFilter", "filter", "preScore", "score"), 1),
    "VolumeRestrictions": (("preFilter", "filter"), 0),
    "NodeVolumeLimits": (("preFilter", "filter"), 0),
    "VolumeBinding": (("preFilter", "filter", "preScore", "score"), 0),
    "VolumeZone": (("preFilter", "filter"), 0),
    "PodTopologySpread": (("preFilter", "filter", "preScore", "score"), 2),
    "InterPodAffinity": (("preFilter", "filter", "preScore", "score"), 2),
    "DynamicResources": (("preEnqueue", "preFilter", "filter", "postFilter"), 0),
    "DefaultPreemption": (("preEnqueue", "postFilter"), 0),
    "NodeResourcesBalancedAllocation": (("preScore", "score"), 1),
    "ImageLocality": (("score",), 1),
    "DefaultBinder": ((), 0),
}


@dataclass
class Profile:
    """The plug-ins of a profile by point, in the order in which they run, and their arguments."""

    name: str
    points: dict[str, list[str]]
    weights: dict[str, int]
    arguments: dict[str, dict[str, Any]] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        """As the recordings give it."""
        scores = [{"name": name, "weight": self.weights[name]} for name in self.points["score"]]
        return {**self.points, "score": scores}


def profiles(text: str | None) -> dict[str, Profile]:
    """The profiles of a configuration (JSON) by name; the default one if there is none."""
    written = (json.loads(text).get("profiles") if text else None) or [{}]
    found = [_profile(each) for each in written]
    return {profile.name: profile for profile in found}


def _profile(written: dict[str, Any]) -> Profile:
    plugins = written.get("plugins") or {}
    everywhere, weights = _everywhere(plugins.get("multiPoint") or {})
    points = {}
    for point in POINTS:
        changes = plugins.get(point) or {}
        implementing = [name for name in everywhere if point in PLUGINS[name][0]]
        points[point] = _merged(implementing, changes)
        if point == "score":
            weights |= {e["name"]: e.get("weight") or 1 for e in changes.get("enabled") or ()}
    arguments = {each["name"]: each["args"] for each in written.get("pluginConfig") or ()}
    return Profile(written.get("schedulerName") or DEFAULT, points, weights, arguments)


def _everywhere(changes: dict[str, Any]) -> tuple[list[str], dict[str, int]]:
    """The default set as ``multiPoint`` changes it: what it enables anew keeps its place."""
    disabled = _names(changes, "disabled")
    enabled = {e["name"]: e.get("weight") or 0 for e in changes.get("enabled") or ()}
    kept = [] if "*" in disabled else [n for n in PLUGINS if n not in disabled]
    names = kept + [name for name in enabled if name not in kept]
    weights = {name: enabled.get(name) or PLUGINS[name][1] or 1 for name in names}
    return names, weights


def _merged(defaults: Iterable[str], changes: dict[str, Any]) -> list[str]:
    """A point's own plug-ins before the defaults that they replace, those after the others that are only added."""
    disabled, enabled = _names(changes, "disabled"), _names(changes, "enabled")
    remaining = [name for name in defaults if "*" not in disabled and name not in disabled]
    replaced = [name for name in enabled if name in remaining]
    added = [name for name in enabled if name not in remaining]
    return replaced + [name for name in remaining if name not in enabled] + added


def _names(changes: dict[str, Any], what: str) -> list[str]:
    return [each["name"] for each in changes.get(what) or ()]
