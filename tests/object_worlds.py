"""Random clusters of Kubernetes objects that use every default plug-in, small enough for the plain twin."""

from __future__ import annotations

import random
from typing import Any

ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
APPS, NAMESPACES = ("web", "db", "cache"), ("default", "team-a", "team-b")
KEYS = (ZONE, HOSTNAME, "rack")
TAINTS = (("dedicated", "gpu"), ("spot", "true"), ("maint", ""))
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class World:
    """One world, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.timed = False

    def chance(self, percent: int) -> bool:
        """Tell whether something of this probability happens."""
        return self.draw.randrange(100) < percent

    def scenario(self, *, pending: int = 12, bound: int = 8) -> dict[str, Any]:
        """A scenario with objects and pending pods."""
        nodes = [self.node(index) for index in range(self.draw.randint(1, 7))]
        objects = [*self.namespaces(), *self.classes(), *nodes, *self.services(), *self.sets(), *self.budgets()]
        for index in range(self.draw.randint(0, bound)):
            pod = self.pod(f"b{index}")
            pod["spec"]["nodeName"] = self.draw.choice(nodes)["metadata"]["name"]
            pod["status"] = {"phase": "Running", "startTime": f"2026-02-02T0{self.draw.randrange(3)}:00:00Z"}
            if self.chance(8):
                pod["metadata"]["deletionTimestamp"] = "2026-03-01T00:00:00Z"
            objects.append(pod)
        return {
            "name": "world", "objects": objects,
            "pending": [self.pod(f"p{index}") for index in range(self.draw.randint(1, pending))],
        }  # fmt: skip

    def namespaces(self) -> list[dict[str, Any]]:
        """The namespaces, with labels of their own."""
        return [
            {
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": {"team": "x"} if self.chance(50) else {}},
            }
            for name in NAMESPACES
        ]  # fmt: skip

    def classes(self) -> list[dict[str, Any]]:
        """Priority classes."""
        return [
            {
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
                "value": value, **({"preemptionPolicy": "Never"} if name == "polite" else {}),
            }
            for name, value in (("low", -5), ("high", 1000), ("polite", 500))
        ]  # fmt: skip

    def node(self, index: int) -> dict[str, Any]:
        """A node with some labels, taints and images."""
        name, draw = f"n{index}", self.draw
        labels = {HOSTNAME: name}
        if self.chance(85):
            labels[ZONE] = draw.choice(("z1", "z2", "z3"))
        if self.chance(60):
            labels["rack"] = draw.choice(("r1", "r2"))
        if self.chance(50):
            labels["disk"] = draw.choice(("ssd", "hdd"))
        spec: dict[str, Any] = {"unschedulable": True} if self.chance(5) else {}
        if self.chance(30):
            spec["taints"] = [
                {"key": key, "value": value, "effect": draw.choice(EFFECTS)}
                for key, value in draw.sample(TAINTS, draw.randint(1, 2))
            ]
        amounts = {
            "cpu": draw.choice(("2", "4", "3920m")), "memory": draw.choice(("4Gi", "8000Mi")),
            "pods": str(draw.choice((3, 6, 20))), **({"example.com/gpu": "2"} if self.chance(30) else {}),
        }  # fmt: skip
        images = [
            {"names": [f"{image}:v1"], "sizeBytes": draw.choice((30, 400, 1200)) << 20}
            for image in APPS
            if self.chance(35)
        ]
        return {
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec,
            "status": {"capacity": amounts, "allocatable": amounts, "images": images},
        }  # fmt: skip

    def services(self) -> list[dict[str, Any]]:
        """Services that select an app."""
        return [
            {
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s-{app}", "namespace": "default"},
                "spec": {"selector": {"app": app}, "ports": [{"port": 80}]},
            }
            for app in APPS
            if self.chance(30)
        ]  # fmt: skip

    def sets(self) -> list[dict[str, Any]]:
        """ReplicaSets that may own pods."""
        return [
            {
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"name": f"rs-{app}", "namespace": "default"},
                "spec": {
                    "replicas": 3, "selector": {"matchLabels": {"app": app}},
                    "template": {"metadata": {"labels": {"app": app}}, "spec": {"containers": []}},
                },
            }
            for app in APPS
        ]  # fmt: skip

    def budgets(self) -> list[dict[str, Any]]:
        """Disruption budgets, with what their status allows."""
        return [
            {
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                "metadata": {"name": f"b-{app}", "namespace": "default"},
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}},
                "status": {
                    "disruptionsAllowed": self.draw.randrange(3), "currentHealthy": 3, "desiredHealthy": 1,
                    "expectedPods": 3,
                },
            }
            for app in APPS
            if self.chance(40)
        ]  # fmt: skip

    def pod(self, name: str) -> dict[str, Any]:
        """A pod that asks for a few things."""
        draw = self.draw
        app = draw.choice(APPS)
        labels = {"app": app, **({"tier": draw.choice(("fe", "be"))} if self.chance(40) else {})}
        metadata: dict[str, Any] = {"name": name, "namespace": draw.choice(NAMESPACES), "labels": labels}
        if self.chance(25):
            metadata["namespace"] = "default"
            metadata["ownerReferences"] = [
                {
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"rs-{app}", "uid": f"rs-{app}",
                    "controller": True,
                }
            ]  # fmt: skip
        spec: dict[str, Any] = {"containers": [self.container("c", app)]}
        if self.chance(15):
            sidecar = {"restartPolicy": "Always"} if self.chance(50) else {}
            spec["initContainers"] = [{**self.container("i", app), **sidecar}]
        if self.chance(35):
            spec["priorityClassName"] = draw.choice(("low", "high", "polite"))
        self.place(spec)
        if self.chance(30):
            spec["topologySpreadConstraints"] = [self.constraint(app) for _ in range(draw.randint(1, 2))]
        if self.chance(5):
            spec["schedulingGates"] = [{"name": "example.com/wait"}]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def container(self, name: str, app: str) -> dict[str, Any]:
        """A container."""
        draw = self.draw
        requests = {}
        if self.chance(85):
            requests["cpu"] = draw.choice(("100m", "500m", "1", "1500m"))
        if self.chance(80):
            requests["memory"] = draw.choice(("64Mi", "1Gi", "2Gi"))
        if self.chance(8):
            requests["example.com/gpu"] = "1"
        result: dict[str, Any] = {"name": name, "image": f"{app}:v1", "resources": {"requests": requests}}
        if self.chance(12):
            port = {"containerPort": 80, "hostPort": draw.choice((80, 81))}
            result["ports"] = [{**port, **({"hostIP": "10.0.0.1"} if self.chance(30) else {})}]
        return result

    def place(self, spec: dict[str, Any]) -> None:
        """Selectors, affinity and tolerations."""
        draw = self.draw
        if self.chance(12):
            spec["nodeSelector"] = {"disk": draw.choice(("ssd", "hdd"))}
        if self.chance(50):
            spec["tolerations"] = [
                {"key": key, "operator": "Exists", **({"effect": draw.choice(EFFECTS)} if self.chance(50) else {})}
                for key, _ in draw.sample(TAINTS, draw.randint(1, 2))
            ]
        affinity: dict[str, Any] = {}
        if self.chance(20):
            wanted = {"matchExpressions": [{"key": draw.choice((ZONE, "disk", "rack")), "operator": "Exists"}]}
            affinity["nodeAffinity"] = {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": draw.randint(1, 100), "preference": wanted}
                ]
            }
        for kind, required in (("podAffinity", 12), ("podAntiAffinity", 20)):
            rules: dict[str, Any] = {}
            if self.chance(required):
                rules["requiredDuringSchedulingIgnoredDuringExecution"] = [self.term()]
            if self.chance(15):
                rules["preferredDuringSchedulingIgnoredDuringExecution"] = [
                    {"weight": draw.randint(1, 100), "podAffinityTerm": self.term()}
                ]
            if rules:
                affinity[kind] = rules
        if affinity:
            spec["affinity"] = affinity

    def term(self) -> dict[str, Any]:
        """A term of pod affinity."""
        draw = self.draw
        result: dict[str, Any] = {"topologyKey": draw.choice(KEYS)}
        if self.chance(92):
            result["labelSelector"] = self.selector()
        if self.chance(20):
            result["namespaces"] = draw.sample(NAMESPACES, draw.randint(1, 2))
        if self.chance(15):
            result["namespaceSelector"] = draw.choice(({}, {"matchLabels": {"team": "x"}}))
        return result

    def selector(self) -> dict[str, Any]:
        """A label selector."""
        if self.chance(6):
            return {}
        if self.chance(25):
            operator = self.draw.choice(("In", "NotIn"))
            values = list(self.draw.sample(APPS, self.draw.randint(1, 2)))
            return {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}
        return {"matchLabels": {"app": self.draw.choice(APPS)}}

    def constraint(self, app: str) -> dict[str, Any]:
        """A topology spread constraint."""
        draw = self.draw
        hard = self.chance(55)
        result: dict[str, Any] = {
            "maxSkew": draw.randint(1, 3), "topologyKey": draw.choice(KEYS),
            "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway",
        }  # fmt: skip
        if self.chance(92):
            result["labelSelector"] = {"matchLabels": {"app": app}} if self.chance(75) else self.selector()
        if hard and self.chance(25):
            result["minDomains"] = draw.randint(1, 4)
        for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if self.chance(25):
                result[policy] = draw.choice(("Honor", "Ignore"))
        if self.chance(15):
            result["matchLabelKeys"] = ["tier"]
        return result
