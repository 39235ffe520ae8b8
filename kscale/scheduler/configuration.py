"""A KubeSchedulerConfiguration v1, read as kube-scheduler v1.34.1 reads it: which plug-ins run, in which order, how.

A profile starts from the default plug-ins, which are enabled by ``multiPoint``: at every extension point that they
have. What the file enables and disables at a point, or at all of them, is laid over that.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from kscale.errors import InputError, MachineError, nearest, one_line
from kscale.scheduler import pluginargs, plugins
from kscale.scheduler.pluginargs import DefaultConstraint, Part, ScoringStrategy, each, fields, take, within
from kscale.scheduler.plugins import Plugin
from kscale.state.descriptions import DEFAULT_SCHEDULER
from kscale.state.labels import Term
from kscale.state.manifests.faults import need, told
from kscale.state.manifests.selectors import INT32
from kscale.state.manifests.yamls import documents

KIND = "KubeSchedulerConfiguration"
#: Most bytes of a file; real ones have a few thousand.
MOST_BYTES = 1 << 20
MULTI_POINT = "multiPoint"
POINTS = (
    "preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score",
    "reserve", "permit", "preBind", "bind", "postBind",
)  # fmt: skip
#: The plug-ins of kube-scheduler v1.34.1 in the order of its default set, with their extension points.
UPSTREAM = {
    "SchedulingGates": ("preEnqueue",),
    "PrioritySort": ("queueSort",),
    "NodeUnschedulable": ("filter",),
    "NodeName": ("filter",),
    "TaintToleration": ("filter", "preScore", "score"),
    "NodeAffinity": ("preFilter", "filter", "preScore", "score"),
    "NodePorts": ("preFilter", "filter"),
    "NodeResourcesFit": ("preFilter", "filter", "preScore", "score"),
    "VolumeRestrictions": ("preFilter", "filter"),
    "NodeVolumeLimits": ("preFilter", "filter"),
    "VolumeBinding": ("preFilter", "filter", "preScore", "score", "reserve", "preBind"),
    "VolumeZone": ("preFilter", "filter"),
    "PodTopologySpread": ("preFilter", "filter", "preScore", "score"),
    "InterPodAffinity": ("preFilter", "filter", "preScore", "score"),
    "DynamicResources": ("preEnqueue", "preFilter", "filter", "postFilter", "reserve", "preBind"),
    "DefaultPreemption": ("preEnqueue", "postFilter"),
    "NodeResourcesBalancedAllocation": ("preScore", "score"),
    "ImageLocality": ("score",),
    "DefaultBinder": ("bind",),
}
#: Weights of the default set that are not 1.
_WEIGHTS = {"TaintToleration": 3, "NodeAffinity": 2, "PodTopologySpread": 2, "InterPodAffinity": 2}
#: What the queue, the cycle and preemption do by themselves.
_BUILT_IN = {"SchedulingGates", "PrioritySort", "DefaultPreemption", "DefaultBinder"}
#: Plug-ins that v1 of the configuration refuses by name.
_REMOVED = ("AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits")
#: Longest duration in seconds that kube-scheduler can hold: int64 nanoseconds.
_MOST_SECONDS = ((1 << 63) - 1) // 10**9
_SECOND_US = 1_000_000
_REFUSALS = {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def _extends(name: str, shelf: Mapping[str, Plugin]) -> Sequence[str]:
    """Return the extension points of a plug-in that is known."""
    return UPSTREAM[name] if name in UPSTREAM else shelf[name].fills


@dataclass(frozen=True)
class _Set:
    """What the file enables, as (name, weight) pairs in order, and disables at one point."""

    enabled: tuple[tuple[str, int], ...] = ()
    disabled: frozenset[str] = frozenset()


def _expanded(own: _Set, everywhere: list[str]) -> tuple[str, ...]:
    """Return the plug-ins of a point in the order they run; ``everywhere`` are those of ``multiPoint`` that have it.

    First those that are stated here and everywhere, then those that are stated everywhere only, then those that are
    stated here only; one that is disabled here does not count as stated everywhere.
    """
    here = [name for name, _ in own.enabled]
    if "*" in own.disabled:
        return tuple(here)
    spread = [name for name in everywhere if name not in own.disabled]
    order = [name for name in here if name in spread]
    order += [name for name in spread if name not in here]
    return (*order, *(name for name in here if name not in spread))


def _composed(
    sets: Mapping[str, _Set], shelf: Mapping[str, Plugin]
) -> tuple[dict[str, tuple[str, ...]], tuple[tuple[str, int], ...]]:
    """Return the plug-ins by point, and the score plug-ins with their weights; a weight of 0 is 1."""
    stated = sets.get(MULTI_POINT, _Set())
    given = dict(stated.enabled)
    kept: dict[str, int] = {}
    if "*" not in stated.disabled:
        kept = {name: given.get(name, _WEIGHTS.get(name, 1)) for name in UPSTREAM if name not in stated.disabled}
    everywhere = (*kept.items(), *((name, weight) for name, weight in stated.enabled if name not in kept))
    points = {p: _expanded(sets.get(p, _Set()), [n for n, _ in everywhere if p in _extends(n, shelf)]) for p in POINTS}
    weights = dict(everywhere) | dict(sets.get("score", _Set()).enabled)
    return points, tuple((name, weights[name] or 1) for name in points["score"])


@dataclass(frozen=True)
class ProfileConfiguration:
    """One profile; without arguments it is kube-scheduler's default.

    Attributes:
        name: the scheduler's name that pods ask for.
        points: the names of the plug-ins in the order they run, by extension point in kube-scheduler's words.
        weights: (name, weight) of the score plug-ins, in the order they run.
        strategy: how NodeResourcesFit scores.
        ignored_resources, ignored_groups: extended resources that NodeResourcesFit does not filter by.
        balanced_resources: (name, weight) pairs of NodeResourcesBalancedAllocation.
        added_terms, added_preferred: node affinity that every pod of the profile has beside its own.
        hard_pod_affinity_weight: what a required affinity of an existing pod counts in InterPodAffinity's score.
        ignore_preferred_terms_of_existing_pods: whether existing pods' preferred terms count only for pods that have
            some.
        default_constraints: of pods that state no spread constraints; ``system_defaults`` where they are
            kube-scheduler's own, with which nodes need not have all keys.
        min_candidate_nodes_percentage, min_candidate_nodes_absolute: how many nodes preemption tries at least.
        percentage_of_nodes_to_score: None where neither the profile nor the file says; 0 adapts to their number.
    """

    name: str = DEFAULT_SCHEDULER
    points: dict[str, tuple[str, ...]] = field(default_factory=lambda: _composed({}, {})[0], hash=False)
    weights: tuple[tuple[str, int], ...] = field(default_factory=lambda: _composed({}, {})[1])
    strategy: ScoringStrategy = pluginargs.DEFAULT_STRATEGY
    ignored_resources: tuple[str, ...] = ()
    ignored_groups: tuple[str, ...] = ()
    balanced_resources: tuple[tuple[str, int], ...] = pluginargs.DEFAULT_RESOURCES
    added_terms: tuple[Term, ...] | None = None
    added_preferred: tuple[tuple[int, Term], ...] = ()
    hard_pod_affinity_weight: int = 1
    ignore_preferred_terms_of_existing_pods: bool = False
    default_constraints: tuple[DefaultConstraint, ...] = pluginargs.SYSTEM_CONSTRAINTS
    system_defaults: bool = True
    min_candidate_nodes_percentage: int = 10
    min_candidate_nodes_absolute: int = 100
    percentage_of_nodes_to_score: int | None = None


@dataclass(frozen=True)
class SchedulerConfiguration:
    """All profiles and the back-off of the queue; ``notes`` tells what of the file has no effect, a line each."""

    profiles: tuple[ProfileConfiguration, ...]
    initial_backoff_us: int = _SECOND_US
    max_backoff_us: int = 10 * _SECOND_US
    notes: tuple[str, ...] = ()


class _File(Part, frozen=True):
    api_version: str | None = None
    kind: str | None = None
    parallelism: int | None = None
    leader_election: Any = None
    client_connection: Any = None
    enable_profiling: bool | None = None
    enable_contention_profiling: bool | None = None
    percentage_of_nodes_to_score: int | None = None
    pod_initial_backoff_seconds: int | None = None
    pod_max_backoff_seconds: int | None = None
    profiles: Any = None
    extenders: Any = None
    delay_cache_until_active: bool | None = None


class _Profile(Part, frozen=True):
    scheduler_name: str | None = None
    percentage_of_nodes_to_score: int | None = None
    plugins: Any = None
    plugin_config: Any = None


class _PluginSet(Part, frozen=True):
    enabled: Any = None
    disabled: Any = None


class _Plugin(Part, frozen=True):
    name: str | None = None
    weight: int | None = None


class _PluginConfig(Part, frozen=True):
    name: str | None = None
    args: Any = None


_Plugins = fields(*POINTS, MULTI_POINT)
#: What says nothing about where pods go: its fields are known, their values are not looked at.
_LeaderElection = fields(
    "leaderElect", "leaseDuration", "renewDeadline", "retryPeriod", "resourceLock", "resourceName", "resourceNamespace"
)
_ClientConnection = fields("kubeconfig", "acceptContentTypes", "contentType", "qps", "burst")
_Extender = fields(
    "urlPrefix", "filterVerb", "preemptVerb", "prioritizeVerb", "weight", "bindVerb", "enableHTTPS", "tlsConfig",
    "httpTimeout", "nodeCacheCapable", "managedResources", "ignorable",
)  # fmt: skip


def _check_plugin(name: str, point: str, path: str, shelf: Mapping[str, Plugin]) -> None:
    """Refuse a plug-in that is not there, or has nothing to do at the point."""
    if name in _REMOVED:
        raise InputError(f"'{name}' is no longer there", field=path, expected="NodeVolumeLimits, which took its place")
    if name not in UPSTREAM and name not in shelf:
        raise InputError(
            f"there is no plug-in '{name[:80]}'{nearest(name[:80], [*UPSTREAM, *shelf])}",
            field=path,
            expected="a plug-in of kube-scheduler v1.34.1 or of kscale",
        )
    if name not in UPSTREAM and shelf[name].variant:
        expected = f"scoringStrategy.type {name} in the arguments of NodeResourcesFit"
        raise InputError(f"'{name}' is a strategy of NodeResourcesFit", field=path, expected=expected)
    if point != MULTI_POINT and point not in _extends(name, shelf):
        points = ", ".join(_extends(name, shelf)) or "no point at all"
        raise InputError(f"'{name}' has nothing to do at {point}", field=path, expected=f"it at {points}")


def _set(value: Any, point: str, path: str, shelf: Mapping[str, Plugin], notes: list[str]) -> _Set:
    found = take(_PluginSet, value, path)
    enabled: dict[str, int] = {}
    for where, item in each(found.enabled, f"{path}.enabled"):
        plugin = take(_Plugin, item, where)
        name = need(plugin.name, f"{where}.name", "the name of a plug-in")
        _check_plugin(name, point, f"{where}.name", shelf)
        if name in enabled:
            raise InputError(f"'{name}' is there twice", field=f"{where}.name", expected="each plug-in once")
        enabled[name] = within(plugin.weight or 0, 0, INT32, f"{where}.weight")
        if name in UPSTREAM and name not in _BUILT_IN and name not in shelf:
            notes.append(f"{where}: kscale has no {name}")
    disabled = set()
    for where, item in each(found.disabled, f"{path}.disabled"):
        name = need(take(_Plugin, item, where).name, f"{where}.name", "the name of a plug-in, or *")
        if name != "*" and name not in UPSTREAM and name not in shelf:
            notes.append(f"{where}: there is no plug-in {name[:80]} to disable")
        disabled.add(name)
    return _Set(tuple(enabled.items()), frozenset(disabled))


def _check_points(points: dict[str, tuple[str, ...]], path: str, notes: list[str]) -> None:
    """Check that a queue sort and a binder are there; note what kscale does not take apart."""
    if len(points["queueSort"]) != 1:
        raise InputError(
            f"has {len(points['queueSort'])} plug-ins", field=f"{path}.plugins.queueSort", expected="PrioritySort alone"
        )
    if not points["bind"]:
        raise InputError("has no plug-in", field=f"{path}.plugins.bind", expected="DefaultBinder")
    if "SchedulingGates" not in points["preEnqueue"]:
        notes.append(f"{path}: scheduling gates hold pods back with SchedulingGates disabled too")
    before, main = points["preFilter"], points["filter"]
    halves = [n for n, at in UPSTREAM.items() if "preFilter" in at and (n in before) != (n in main)]
    if halves:
        notes.append(f"{path}: preFilter and filter are one here, and filter decides: {', '.join(halves)}")
    bare = [n for n in points["score"] if "preScore" in UPSTREAM.get(n, ()) and n not in points["preScore"]]
    if bare:
        notes.append(f"{path}: preScore and score are one here, and score decides: {', '.join(bare)}")


def _arguments(value: Any, path: str, notes: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    seen: set[str] = set()
    for where, item in each(value, path):
        found = take(_PluginConfig, item, where)
        name = need(found.name, f"{where}.name", "the name of a plug-in")
        if name in seen:
            raise InputError(f"'{name[:80]}' is there twice", field=f"{where}.name", expected="each plug-in once")
        if name in _REMOVED:
            _check_plugin(name, "", f"{where}.name", {})
        seen.add(name)
        result |= pluginargs.read_arguments(name, found.args, f"{where}.args", notes)
    return result


def _profiles(value: Any, default_percentage: int | None, notes: list[str]) -> tuple[ProfileConfiguration, ...]:
    stated = list(each(value, "profiles")) or [("profiles[0]", None)]
    profiles: dict[str, ProfileConfiguration] = {}
    shelf = plugins.found()
    sorting: _Set | None = None
    for path, item in stated:
        found = take(_Profile, item, path)
        name = DEFAULT_SCHEDULER if found.scheduler_name is None and len(stated) == 1 else found.scheduler_name
        name = need(name, f"{path}.schedulerName", "a name")
        if name in profiles:
            raise InputError(f"'{name[:80]}' is there twice", field=f"{path}.schedulerName", expected="each name once")
        percentage = found.percentage_of_nodes_to_score
        within(percentage or 0, 0, 100, f"{path}.percentageOfNodesToScore")
        where, listed = f"{path}.plugins", take(_Plugins, found.plugins, f"{path}.plugins")
        sets = {p: _set(getattr(listed, p), p, f"{where}.{p}", shelf, notes) for p in (*POINTS, MULTI_POINT)}
        sorting = sorting or sets["queueSort"]
        if sets["queueSort"] != sorting:
            expected = "the same plug-ins in all profiles"
            raise InputError("differs from the first profile's", field=f"{where}.queueSort", expected=expected)
        points, weights = _composed(sets, shelf)
        _check_points(points, path, notes)
        profiles[name] = ProfileConfiguration(
            name=name, points=points, weights=weights,
            percentage_of_nodes_to_score=default_percentage if percentage is None else percentage,
            **_arguments(found.plugin_config, f"{path}.pluginConfig", notes),
        )  # fmt: skip
    return tuple(profiles.values())


def _configuration(value: Any) -> SchedulerConfiguration:
    if not isinstance(value, dict):
        raise InputError("is not a mapping", expected=f"a {KIND}")
    for name, right in (("kind", KIND), ("apiVersion", pluginargs.API_VERSION)):
        if value.get(name) != right:
            stated = need(value.get(name), name, right)
            problem = f"is '{stated[:80]}'" if isinstance(stated, str) else "is not text"
            raise InputError(problem, field=name, expected=right)
    found = take(_File, value, "")
    take(_LeaderElection, found.leader_election, "leaderElection")
    take(_ClientConnection, found.client_connection, "clientConnection")
    notes: list[str] = []
    extenders = [take(_Extender, item, path) for path, item in each(found.extenders, "extenders")]
    if extenders:
        notes.append(f"extenders: none is called ({len(extenders)} stated)")
    within(16 if found.parallelism is None else found.parallelism, 1, INT32, "parallelism")
    percentage = found.percentage_of_nodes_to_score
    within(percentage or 0, 0, 100, "percentageOfNodesToScore")
    initial, longest = found.pod_initial_backoff_seconds, found.pod_max_backoff_seconds
    initial = within(1 if initial is None else initial, 1, _MOST_SECONDS, "podInitialBackoffSeconds")
    longest = within(10 if longest is None else longest, initial, _MOST_SECONDS, "podMaxBackoffSeconds")
    profiles = _profiles(found.profiles, percentage, notes)
    return SchedulerConfiguration(profiles, initial * _SECOND_US, longest * _SECOND_US, tuple(notes))


def default_configuration() -> SchedulerConfiguration:
    """Return what kube-scheduler does without a file."""
    return SchedulerConfiguration((ProfileConfiguration(),))


def _once(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise InputError(f"has the key '{name[:80]}' twice", expected="each key once")
        seen.add(name)


def _value(data: bytes, file: str) -> Any:
    """Return the one document of a text: JSON where it starts with a brace, else YAML."""
    if len(data) > MOST_BYTES:
        raise InputError(f"is larger than {MOST_BYTES:,} bytes", expected=f"a {KIND}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", expected=f"a {KIND}") from None
    if not text.lstrip().startswith("{"):
        found = list(documents(text.encode(), file))
        if len(found) != 1:
            raise InputError(f"has {len(found)} documents", expected=f"one {KIND}")
        return found[0]
    try:
        value = msgspec.json.decode(text)
        json.loads(text, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InputError(f"cannot be read as JSON: {told(error).problem}", expected=f"one {KIND}") from None
    return value


def _parse(data: bytes, file: str) -> SchedulerConfiguration:
    try:
        return _configuration(_value(data, file))
    except InputError as error:
        if error.file is not None:
            raise
        raise InputError(error.problem, file=file, field=error.field, expected=error.expected) from None


def parse_configuration(text: str, file: str | Path | None = None) -> SchedulerConfiguration:
    """Return the configuration that a text states, JSON or YAML. Raises InputError; ``file`` is what it names."""
    return _parse(text.encode("utf-8", "surrogatepass"), KIND if file is None else str(file))


def read_configuration(path: str | Path) -> SchedulerConfiguration:
    """Return the configuration of a file. Raises InputError, and MachineError where it may not be read."""
    try:
        with Path(path).open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("does not exist", file=path, expected=f"a {KIND}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError) or getattr(error, "errno", None) in _REFUSALS:
            raise MachineError(f"{one_line(str(path), 200)}: {error}") from error
        raise InputError(f"cannot be opened: {error}", file=str(path)[:200], expected=f"a {KIND}") from None
    return _parse(data, str(path))
