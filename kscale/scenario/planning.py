"""Plans a scenario: everything that it makes arise is known before the run begins."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kscale.engine.flows import Flow, FlowKey
from kscale.engine.kinds import Kind
from kscale.engine.objects import FOREGROUND, NO_FINALIZER, ORPHAN
from kscale.errors import InputError
from kscale.scenario import models
from kscale.scenario.changing import RESTARTED, changed, part, template_path, with_images
from kscale.scenario.curves import load_of
from kscale.scenario.effects import Create, Delete, DeletePods, Effect, Evict, Set, Write
from kscale.scenario.flows import flows_of
from kscale.scenario.folding import Folding, Standing
from kscale.scenario.models import Aimed, Time
from kscale.scenario.reading import Scenario, Step
from kscale.scenario.revisions import ROLLED, keeps_revisions
from kscale.scenario.script import Action
from kscale.scenario.targets import Key, Kinds
from kscale.scenario.times import duration, occurrences
from kscale.state.descriptions import Selector
from kscale.state.labels import parse_labels
from kscale.state.lives import MOST_CRASHES
from kscale.state.manifests.faults import Item, one_of
from kscale.state.manifests.names import check_labels, check_name
from kscale.state.manifests.selectors import INT32, equality_selector
from kscale.state.manifests.taking import Gathering
from kscale.state.quantities import format_duration

#: Deletions as kubectl names them, and the finalizer that each sets.
CASCADES = {"background": NO_FINALIZER, "foreground": FOREGROUND, "orphan": ORPHAN}


def plan(
    scenario: Scenario, gathering: Gathering, kinds: Mapping[str, Kind], seed: int, *,
    others: Iterable[tuple[str, Mapping[str, str]]] = (),
) -> list[Action]:  # fmt: skip
    """Return the actions of a scenario in the order of their times; those of one time in the order of the files.

    ``gathering`` is what was read for the run: the templates and selections of the scenario are added to it, so that
    its inventory is made after this. ``others`` are namespaces and labels of pods that come from elsewhere. Raises
    InputError.
    """
    return Planner(gathering, kinds, others).plan(scenario, seed)


class _Moment(NamedTuple):
    """A time at which a step begins something (``ends`` False) or ends it; they sort by time, then as in the files."""

    at_us: int
    place: int
    begun_us: int
    ends: bool


class Planner:
    """Follows the actions of a scenario one after another."""

    def __init__(
        self, gathering: Gathering, kinds: Mapping[str, Kind], others: Iterable[tuple[str, Mapping[str, str]]]
    ) -> None:
        self.gathering, self.kinds = gathering, kinds
        self.folding = Folding(gathering)
        self.names = Kinds(kind for kind in gathering.manifests if kind in kinds)
        self._others, self._where = list(others), ""
        self._selections: dict[tuple[str, Selector], int] = {}
        #: Values that last for a time, by what they set: the latest that still lasts counts.
        self._lasting: dict[tuple[str, Any], dict[tuple[int, int], Any]] = {}
        self._flowing: dict[tuple[int, int], dict[FlowKey, Flow]] = {}
        self._verbs: dict[str, Callable[[Step, _Moment], tuple[list[Effect], str]]] = {
            "apply": self._apply, "scale": self._scale, "image": self._image, "pause": self._pause,
            "resume": self._pause, "rollback": self._rollback, "restart": self._restart, "delete": self._delete,
            "evict": self._evict, "crash": self._crash, "registry": self._registry, "load": self._load,
            "traffic": self._traffic,
        }  # fmt: skip

    def plan(self, scenario: Scenario, seed: int) -> list[Action]:
        """Return all actions. Raises InputError."""
        moments: list[_Moment] = []
        for step in scenario.steps:
            with _of(step):
                moments += _moments(step, seed)
        actions = []
        for moment in sorted(moments):
            step = scenario.steps[moment.place]
            self._where = step.where
            with _of(step):
                effects, words = self._verbs[step.verb](step, moment)
            if effects:
                actions.append(Action(moment.at_us, step.file, step.number, words, tuple(effects)))
        return actions

    def _key(self, step: Step) -> tuple[Key, str, Any]:
        """Return whom a step is about, the field that says so, and what stands at its verb. Raises InputError."""
        verb, given = step.verb, getattr(step.entry, step.verb)
        aimed = Aimed(target=given) if isinstance(given, str) else given
        return self.names.key(aimed, verb), verb if isinstance(given, str) else f"{verb}.target", given

    def _target(self, step: Step) -> tuple[Standing, Any]:
        key, field, given = self._key(step)
        return self.folding.get(key, field), given

    def _write(self, standing: Standing, found: dict[str, Any], field: str, *, restated: Iterable[str] = ()) -> Write:
        """Make ``found`` of an object; columns that are ``restated`` are written whatever they were before."""
        changes, spec = self.folding.change(standing, found, self._where)
        return self._written(standing, changes, spec, field, restated)

    def _written(
        self, standing: Standing, changes: dict[str, Any], spec: bool, field: str, restated: Iterable[str]
    ) -> Write:
        now = self.folding.get(standing.key, field)
        again = {name: now.columns[name] for name in restated if name in now.columns}
        # Others may have written what is restated, so that only the run can tell whether it changes anything.
        sure = spec and bool(set(changes) - set(again) or not changes)
        manifest = self.kinds[standing.key[0]].manifest
        templates = manifest.templates if manifest is not None else ()
        return Write(standing.key, {**again, **changes}, templates, spec or bool(again), sure, field)

    def _apply(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        effects: list[Effect] = []
        told = []
        for item in step.items:
            key = self.folding.apply(item)
            if key is None:
                continue
            told.append(_called(key))
            effects.append(self._apply_over(key, item) if self.folding.there(key) else self._create(key, item))
        return effects, f"apply {', '.join(told[:3])}" + (f" and {len(told) - 3} more" if len(told) > 3 else "")

    def _create(self, key: Key, item: Item) -> Create:
        made = self.folding.create(key, item)
        owner = None if made.owner is None else (made.owner[0], key[1], made.owner[1])
        manifest = self.gathering.manifests[key[0]]
        return Create(key, made.columns, manifest.templates, owner)

    def _apply_over(self, key: Key, item: Item) -> Write:
        standing = self.folding.get(key, "apply")
        changes, spec = self.folding.apply_over(standing, item)
        stated = part(self.folding.get(key, "apply").applied, ("spec", "replicas")) is not None
        return self._written(standing, changes, spec, "apply", ("replicas",) if stated else ())

    def _scale(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        standing, given = self._target(step)
        if not 0 <= given.replicas <= INT32:
            raise InputError(f"is {given.replicas}", field="scale.replicas", expected="0 or more")
        if "replicas" not in standing.columns:
            raise InputError(
                f"{standing.key[0]} cannot be scaled", field="scale.target", expected="a kind with replicas"
            )
        write = self._write(
            standing, changed(standing.found, ("spec", "replicas"), given.replicas), "scale.target",
            restated=("replicas",),
        )  # fmt: skip
        return [write], f"scale {_called(standing.key)} to {given.replicas}"

    def _image(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        standing, given = self._target(step)
        if not given.containers:
            raise InputError("is empty", field="image.containers", expected="images by the names of containers")
        found = with_images(standing.found, given.containers, "image.containers")
        told = ", ".join(f"{name}={image}" for name, image in given.containers.items())
        return [self._write(standing, found, "image.target")], f"image {_called(standing.key)} {told[:200]}"

    def _pause(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        standing, _ = self._target(step)
        if "paused" not in standing.columns:
            raise InputError(f"{standing.key[0]} cannot be paused", field=step.verb, expected="a Deployment")
        found = changed(standing.found, ("spec", "paused"), True if step.verb == "pause" else None)
        return [self._write(standing, found, step.verb)], f"{step.verb} {_called(standing.key)}"

    def _rolled(self, step: Step) -> tuple[Standing, Any]:
        standing, given = self._target(step)
        if not keeps_revisions(standing.key[0]):
            raise InputError(
                f"{standing.key[0]} has no rollouts", field=step.verb, expected=f"one of {', '.join(ROLLED)}"
            )
        if part(standing.found, ("spec", "paused")) is True:
            raise InputError(f"{_called(standing.key)} is paused", field=step.verb, expected="resume before it")
        return standing, given

    def _rollback(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        standing, given = self._rolled(step)
        to = 0 if isinstance(given, str) else given.to
        template = standing.revisions.template(to, part(standing.found, ("spec", "template")))
        write = self._write(standing, changed(standing.found, ("spec", "template"), template), "rollback.target")
        return [write], f"rollback {_called(standing.key)}" + (f" to revision {to}" if to else "")

    def _restart(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        standing, _ = self._rolled(step)
        path = (*template_path(standing.found, "restart"), "metadata", "annotations", RESTARTED)
        found = changed(standing.found, path, f"{moment.at_us / 1e6:.6f}s")
        return [self._write(standing, found, "restart.target")], f"restart {_called(standing.key)}"

    def _delete(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        given = step.entry.delete
        if isinstance(given, models.Delete) and given.pods is not None:
            return self._delete_pods(given)
        standing, _ = self._target(step)
        cascade = "background" if isinstance(given, str) or given is None else given.cascade
        one_of(cascade, CASCADES, "delete.cascade")
        if isinstance(given, models.Delete) and given.grace is not None:
            raise InputError("is stated", field="delete.grace", expected="it with pods alone")
        why = f"it was deleted by {self._where}, at {format_duration(moment.at_us)}"
        self.folding.remove(standing.key, why, orphan=cascade == "orphan")
        return [Delete(standing.key, CASCADES[cascade])], f"delete {_called(standing.key)} ({cascade})"

    def _delete_pods(self, given: models.Delete) -> tuple[list[Effect], str]:
        selection, told = self._selected(given, "delete")
        grace = -1 if given.grace is None else duration(given.grace, "delete.grace")
        return [DeletePods(selection, grace)], f"delete pods {told}"

    def _evict(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        given = step.entry.evict
        if isinstance(given, models.Evict) and given.pods is not None:
            selection, told = self._selected(given, "evict")
            return [Evict(selection)], f"evict pods {told}"
        standing, _ = self._target(step)
        template_path(standing.found, "evict.target")
        return [Evict(key=standing.key)], f"evict {_called(standing.key)}"

    def _selected(self, given: models.Delete | models.Evict, verb: str) -> tuple[int, str]:
        """Return the handle of the pods that a verb selects, and their labels as words. Raises InputError."""
        if (given.target, given.kind, given.name) != (None, None, None):
            raise InputError("names an object and pods", field=verb, expected="one of the two")
        namespace = check_name(given.namespace, f"{verb}.namespace", "namespace")
        labels = _labels(given.pods or {}, f"{verb}.pods")
        told = ",".join(f"{key}={value}" for key, value in labels.items())[:200]
        known = (namespace, equality_selector(labels))
        if known not in self._selections:
            if not any(where == namespace and labels.items() <= found.items() for where, found in self._pods()):
                raise InputError("selects no pod that may be there", field=f"{verb}.pods", expected="labels of pods")
            self.gathering.kept.reads(namespace, labels)
            selections = self.gathering.workloads.selections
            self._selections[known] = len(selections)
            selections.append((known[1], namespace))
        return self._selections[known], told

    def _pods(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield the namespaces and labels of all pods that may be there at some time."""
        pods = self.gathering.pods
        for rows in (pods.wanted, pods.bound, pods.pending):
            for row in rows:
                yield row.namespace, row.labels
        yield from self._others

    def _crash(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        key, field, given = self._key(step)
        if not 0 <= given.per_hour <= MOST_CRASHES:
            raise InputError(f"is {given.per_hour}", field="crash.perHour", expected=f"a number, 0 to {MOST_CRASHES:,}")
        if not 0 <= given.per_start <= 1:
            raise InputError(f"is {given.per_start}", field="crash.perStart", expected="a probability, 0 to 1")
        self.gathering.workloads.crashing.add(key)
        if not moment.ends:
            template_path(self.folding.get(key, field).found, field)
        effect = self._last("crashes", key, moment, (given.per_hour, given.per_start), None)
        odds = f"{given.per_hour:g} an hour, {given.per_start:g} a start"
        return [effect], f"crash {_called(key)} " + ("ends" if moment.ends else odds)

    def _registry(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        given = step.entry.registry
        assert given is not None
        if not 0 < given.bandwidth <= 1e6:
            raise InputError(f"is {given.bandwidth:g}", field="registry.bandwidth", expected="a factor above 0")
        effects: list[Effect] = [
            self._last("settings", "registry_bandwidth", moment, given.bandwidth, 1.0),
            self._last("settings", "registry_failing", moment, float(given.failing), 0.0),
        ]
        told = "fails" if given.failing else f"bandwidth x {given.bandwidth:g}"
        return effects, "registry as before" if moment.ends else f"registry {told}"

    def _load(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        key, field, given = self._key(step)
        if not moment.ends:
            self.folding.get(key, field)
        effect = self._last("loads", key, moment, load_of(given, moment.begun_us), None)
        return [effect], f"load {_called(key)}" + (" ends" if moment.ends else "")

    def _traffic(self, step: Step, moment: _Moment) -> tuple[list[Effect], str]:
        given = step.entry.traffic
        assert given is not None
        # When it ends, its workloads may be gone: what it is about was found when it began.
        begun = (moment.place, moment.begun_us)
        if not moment.ends:
            self._flowing[begun] = flows_of(given, self.names, self.folding, moment.begun_us)
        asked = self._flowing[begun]
        effects: list[Effect] = [self._last("flows", key, moment, flow, None) for key, flow in asked.items()]
        told = [f"{_called(source) if source else 'all nodes'} to {_called(service)}" for source, service in asked]
        words = f"traffic from {', '.join(told[:3])}" + (f" and {len(told) - 3} more" if len(told) > 3 else "")
        return effects, words + (" ends" if moment.ends else "")

    def _last(self, where: str, key: Any, moment: _Moment, value: Any, default: Any) -> Set:
        """Return what sets a value that lasts for a time, or for good; where it ends, what lasted before counts."""
        lasting = self._lasting.setdefault((where, key), {})
        if moment.ends:
            lasting.pop((moment.place, moment.begun_us))
        else:
            lasting[moment.place, moment.begun_us] = value
        return Set(where, key, next(reversed(lasting.values()), default))


def _called(key: Key) -> str:
    kind, namespace, name = key
    return f"{kind.lower()}/{name}" + (f" in {namespace}" if namespace != "default" else "")


def _labels(given: str | Mapping[str, str], field: str) -> dict[str, str]:
    try:
        labels = parse_labels(given) if isinstance(given, str) else dict(given)
    except InputError as error:
        raise InputError(error.problem, field=field, expected="labels such as app=web,tier=front") from None
    check_labels(labels, field)
    if not labels:
        raise InputError("is empty", field=field, expected="labels such as app=web,tier=front")
    return labels


def _moments(step: Step, seed: int) -> list[_Moment]:
    """Return the times of a step, and the ends of what lasts for a time. Raises InputError."""
    given = getattr(step.entry, step.verb)
    lasting: Time | None = getattr(given, "lasting", None)
    times = occurrences(step.entry, seed, step.place)
    moments = [_Moment(at_us, step.place, at_us, False) for at_us in times]
    if lasting is not None:
        long = duration(lasting, f"{step.verb}.for")
        moments += [_Moment(at_us + long, step.place, at_us, True) for at_us in times]
    return moments


@contextlib.contextmanager
def _of(step: Step) -> Iterator[None]:
    """Let an error say where the step stands, unless it says so itself."""
    try:
        yield
    except InputError as error:
        if error.file is not None:
            raise
        raise InputError(error.problem, file=step.where, field=error.field, expected=error.expected) from None
