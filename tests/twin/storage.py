"""Claims, volumes, classes and drivers, with what earlier pods have reserved of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.twin.quantities import thousandths
from tests.twin.selectors import Labels, NodeTerm, label_selector

BOUND = "pv.kubernetes.io/bind-completed"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
ONE_POD = "ReadWriteOncePod"


class Volume:
    """A persistent volume; ``claim`` is the claim that it is kept for, as namespace/name."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        spec = written["spec"]
        self.name: str = written["metadata"]["name"]
        self.labels: Labels = written["metadata"].get("labels") or {}
        self.size = thousandths(str(spec["capacity"]["storage"]))
        self.modes = set(spec.get("accessModes") or ())
        self.mode: str = spec.get("volumeMode") or "Filesystem"
        self.storage_class: str = spec.get("storageClassName") or ""
        self.phase: str = (written.get("status") or {}).get("phase") or "Pending"
        self.driver: tuple[str, str] | None = None
        if spec.get("csi"):
            self.driver = spec["csi"]["driver"], spec["csi"]["volumeHandle"]
        reference = spec.get("claimRef")
        self.claim = f"{reference.get('namespace')}/{reference['name']}" if reference else None
        required = (spec.get("nodeAffinity") or {}).get("required")
        self.terms = None if required is None else [NodeTerm(t) for t in required["nodeSelectorTerms"]]

    def reachable(self, labels: Labels) -> bool:
        """Whether a node with these labels can use it; the node's name is not looked at."""
        return self.terms is None or any(term.matches("", labels) for term in self.terms)


class Claim:
    """A claim; ``selected_node`` is where an earlier pod wants its volume provisioned."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        metadata, spec = written["metadata"], written["spec"]
        self.name: str = metadata["name"]
        self.namespace: str = metadata.get("namespace") or "default"
        self.key = f"{self.namespace}/{self.name}"
        self.size = thousandths(str(spec["resources"]["requests"]["storage"]))
        self.modes = set(spec.get("accessModes") or ())
        self.mode: str = spec.get("volumeMode") or "Filesystem"
        self.storage_class: str = spec.get("storageClassName") or ""
        self.selector = label_selector(spec.get("selector") or {})
        self.volume: str = spec.get("volumeName") or ""
        annotations = metadata.get("annotations") or {}
        self.bound = bool(self.volume) and BOUND in annotations
        self.selected_node: str | None = annotations.get("volume.kubernetes.io/selected-node")


class Class:
    """A storage class."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        self.provisioner: str = written["provisioner"]
        self.waits = written.get("volumeBindingMode") == "WaitForFirstConsumer"
        self.topologies: list[Any] = written.get("allowedTopologies") or []

    def provisions(self, labels: Labels) -> bool:
        """Whether it can make a volume for a node with these labels."""
        if self.provisioner == NO_PROVISIONER:
            return False
        return not self.topologies or any(
            all(labels.get(e["key"]) in e["values"] for e in term["matchLabelExpressions"]) for term in self.topologies
        )


class Storage:
    """All of them by name."""

    def __init__(self, kinds: Mapping[str, list[Any]]) -> None:
        self.volumes = {w["metadata"]["name"]: Volume(w) for w in kinds.get("PersistentVolume", [])}
        claims = [Claim(written) for written in kinds.get("PersistentVolumeClaim", [])]
        self.claims = {claim.key: claim for claim in claims}
        self.classes = {w["metadata"]["name"]: Class(w) for w in kinds.get("StorageClass", [])}
        self.limits = {w["metadata"]["name"]: _limits(w) for w in kinds.get("CSINode", [])}


def _limits(written: Mapping[str, Any]) -> dict[str, int]:
    drivers = (written.get("spec") or {}).get("drivers") or ()
    counts = {driver["name"]: (driver.get("allocatable") or {}).get("count") for driver in drivers}
    return {name: count for name, count in counts.items() if count is not None}
