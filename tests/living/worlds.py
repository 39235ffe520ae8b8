"""Random clusters with workloads of every kind, and random things that are done to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from tests.living.stage import BAD, Manifest, template, workload

#: By when everything has been done, in seconds; what follows is for the cluster to come to rest.
LAST = 300
SERVICE = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}  # fmt: skip
BUDGET = {
    "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
}  # fmt: skip
AUTOSCALER = {
    "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "api"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}, "maxReplicas": 6,
        "metrics": [{
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
        }],
    },
}  # fmt: skip
CRON = {
    "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tidy"},
    "spec": {
        "schedule": "*/2 * * * *", "concurrencyPolicy": "Forbid",
        "jobTemplate": {
            "spec": {"template": template("tidy", notes={"kscale.dev/run-time": "20s"}, restartPolicy="Never")}
        },
    },
}  # fmt: skip
CLASSES = [
    {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": "csi",
        "volumeBindingMode": "WaitForFirstConsumer", "parameters": parameters,
    } for name, parameters in (("fast", {}), ("zonal", {"topology": "zonal"}))
]  # fmt: skip
#: Kinds whose rollouts can be undone and begun anew.
ROLLED = {"web": "Deployment", "api": "Deployment", "db": "StatefulSet", "agent": "DaemonSet"}


@dataclass
class Drawn:
    """A world: what is there at the start, and what is done; whether containers crash, or pods are deleted."""

    objects: list[Manifest]
    actions: list[Manifest]
    disturbed: bool = False
    limited: bool = True
    specs: dict[str, dict[str, Any]] = field(default_factory=dict)


@st.composite
def _claims(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what a StatefulSet says of claims: of a class with zones, of one without, or none."""
    name = draw(st.sampled_from(["", "fast", "zonal"]))
    if not name:
        return {}
    policy = {key: draw(st.sampled_from(["Retain", "Delete"])) for key in ("whenScaled", "whenDeleted")}
    template = {"metadata": {"name": "data"}, "spec": {"storageClassName": name}}
    return {"volumeClaimTemplates": [template], "persistentVolumeClaimRetentionPolicy": policy}


@st.composite
def _specs(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    strategy = draw(
        st.sampled_from([
            {"type": "Recreate"}, {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            {"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}}, {},
        ])
    )  # fmt: skip
    web = {"replicas": draw(st.integers(0, 6)), "strategy": strategy, "progressDeadlineSeconds": 120}
    if draw(st.booleans()):
        web["minReadySeconds"] = 7
    management = draw(st.sampled_from(["OrderedReady", "Parallel"]))
    return {
        "web": web, "api": {"replicas": draw(st.integers(1, 3)), "progressDeadlineSeconds": 120},
        "db": {"replicas": draw(st.integers(0, 4)), "podManagementPolicy": management, **draw(_claims())}, "agent": {},
        "batch": {"completions": draw(st.integers(1, 5)), "parallelism": draw(st.integers(1, 3))},
    }  # fmt: skip


def manifests(specs: dict[str, dict[str, Any]]) -> dict[str, Manifest]:
    """Return a workload of every kind, by name."""
    made = {name: workload(kind, name, **specs[name]) for name, kind in ROLLED.items()}
    made["batch"] = workload("Job", "batch", {"kscale.dev/run-time": "20s"}, **specs["batch"])
    return made


@st.composite
def worlds(draw: st.DrawFn, *, rough: bool = True) -> Drawn:
    """Draw a world; ``rough`` ones have crashes, pods that are deleted, and images that cannot be pulled."""
    specs = draw(_specs())
    workloads = manifests(specs)
    names = draw(st.sets(st.sampled_from(sorted(workloads)), min_size=1, max_size=4))
    later = draw(st.sampled_from([None, *sorted(names)]))
    objects = [workloads[name] for name in sorted(names) if name != later]
    objects += [CRON] if not objects or draw(st.integers(0, 2)) == 2 else []
    objects += [SERVICE, BUDGET] if "web" in names else []
    objects += CLASSES if "db" in names else []
    objects += [AUTOSCALER] if "api" in names else []
    drawn = Drawn(objects, [], limited=draw(st.booleans()), specs=specs)
    there = {name: int(name != later) for name in names}
    changed: dict[str, int] = {}
    if later is not None:
        drawn.actions.append({"at": 30, "apply": workloads[later]})
        there[later] = 1
    times = sorted(draw(st.lists(st.integers(31, LAST), max_size=6)))
    for at in times:
        left = sorted(name for name, is_there in there.items() if is_there and name != "batch")
        if left:
            action = draw(_action(draw(st.sampled_from(left)), specs, changed, rough=rough))
            drawn.disturbed |= bool({"crash", "evict", "delete"} & set(action))
            drawn.actions.append({"at": at, **action})
    ended = draw(st.sampled_from([None, *sorted(names)]))
    if ended is not None:
        cascade = draw(st.sampled_from(["background", "foreground", "orphan"]))
        target = f"{ROLLED.get(ended, 'Job').lower()}/{ended}"
        drawn.actions.append({"at": LAST + 10, "delete": {"target": target, "cascade": cascade}})
    return drawn


@st.composite
def _action(
    draw: st.DrawFn, name: str, specs: dict[str, dict[str, Any]], changed: dict[str, int], *, rough: bool
) -> Manifest:
    """Draw something that is done to the workload ``name``; ``changed`` counts templates that it has had."""
    kind = ROLLED[name]
    target = f"{kind.lower()}/{name}"
    verbs = ["image", "restart"]
    verbs += ["scale"] if kind != "DaemonSet" and name != "api" else []
    verbs += ["rollback"] if changed.get(name) else []
    verbs += ["pause", "resume"] if kind == "Deployment" else []
    verbs += ["crash", "pods", "evict", "bad", "load"] if rough else []
    verb = draw(st.sampled_from(verbs))
    if verb == "scale":
        return {"scale": {"target": target, "replicas": draw(st.integers(0, 8))}}
    if verb in ("pause", "resume"):
        return {verb: target}
    if verb == "crash":
        odds = draw(st.sampled_from([{"perStart": 0.5}, {"perHour": 1.0}]))
        return {"crash": {"target": target, **odds, "for": "1m"}}
    if verb == "pods":
        return {"delete": {"pods": f"app={name}"}}
    if verb == "evict":
        return {"evict": target}
    if verb == "load":
        return {"load": {"target": target, "cpu": draw(st.sampled_from(["50m", "150m", "2"]))}}
    changed[name] = changed.get(name, 0) + 1
    if verb == "image":
        return {"image": {"target": target, "containers": {"web": f"web:{draw(st.integers(2, 4))}"}}}
    if verb == "bad":
        return {"apply": workload(kind, name, BAD, "web:9", **specs[name])}
    return {verb: target}


def settled(drawn: Drawn) -> Drawn:
    """Return the world with rollouts resumed when all else is done, so that how it ends does not turn on its past.

    Dependents that are let go stay as they are at that moment: it comes when everything has ended.
    """
    there = {one["metadata"]["name"] for one in drawn.objects if one["kind"] == "Deployment"}
    there |= {
        one["apply"]["metadata"]["name"] for one in drawn.actions if one.get("apply", {}).get("kind") == "Deployment"
    }
    actions = [
        {**one, "at": 2 * LAST + 200} if one.get("delete", {}).get("cascade") == "orphan" else one
        for one in drawn.actions
    ]
    gone = {one["delete"].get("target") for one in actions if "delete" in one and one["at"] <= LAST + 20}
    resumed = [
        {"at": LAST + 20, "resume": f"deployment/{name}"} for name in sorted(there) if f"deployment/{name}" not in gone
    ]
    return replace(drawn, actions=sorted([*actions, *resumed], key=lambda one: one["at"]))
