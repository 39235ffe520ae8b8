"""What an action is about, as kubectl names it: ``deployment/web``, ``deploy/web``, or kind and name apart."""

from __future__ import annotations

from collections.abc import Iterable

from kscale.errors import InputError, nearest
from kscale.scenario.models import Aimed
from kscale.state.manifests.names import check_name

#: (kind, namespace, name).
Key = tuple[str, str, str]
#: kubectl's short names (kubectl api-resources, v1.34).
_SHORT = {
    "Deployment": "deploy", "ReplicaSet": "rs", "ReplicationController": "rc", "StatefulSet": "sts", "DaemonSet": "ds",
    "CronJob": "cj", "HorizontalPodAutoscaler": "hpa", "PodDisruptionBudget": "pdb", "Service": "svc",
    "Endpoints": "ep", "Namespace": "ns", "ResourceQuota": "quota",
    "ServiceAccount": "sa", "PersistentVolumeClaim": "pvc",
}  # fmt: skip


class Kinds:
    """The kinds that may be named, by every name that kubectl takes."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self._by_name: dict[str, str] = {}
        for kind in sorted(kinds):
            lower = kind.lower()
            for name in (lower, _plural(lower), _SHORT.get(kind, lower)):
                self._by_name[name] = kind

    def of(self, text: str, field: str) -> str:
        """Return the kind of a name; a group after a dot is passed over. Raises InputError."""
        name = text.partition(".")[0].lower()
        if name not in self._by_name:
            raise InputError(
                f"'{text[:80]}' is no kind that is simulated{nearest(name[:80], self._by_name)}", field=field,
                expected=f"one of {', '.join(sorted(set(self._by_name.values())))}",
            )  # fmt: skip
        return self._by_name[name]

    def key(self, aimed: Aimed, verb: str) -> Key:
        """Return whom an action names. Raises InputError."""
        if (aimed.target is None) == (aimed.kind is None and aimed.name is None):
            raise InputError(
                "names no object" if aimed.target is None else "names its object twice", field=verb,
                expected="target (such as deployment/web), or kind and name",
            )  # fmt: skip
        kind, field, name = aimed.kind, f"{verb}.kind", aimed.name
        if aimed.target is not None:
            kind, slash, name = aimed.target.partition("/")
            field = f"{verb}.target"
            if not slash:
                raise InputError(f"'{aimed.target[:80]}' names no kind", field=field, expected="KIND/NAME")
        if kind is None or name is None:
            what = "kind" if kind is None else "name"
            raise InputError("is missing", field=f"{verb}.{what}", expected=f"the {what} of an object")
        found = self.of(kind, field)
        namespace = check_name(aimed.namespace, f"{verb}.namespace", "namespace")
        return found, namespace, check_name(name, field if aimed.target is not None else f"{verb}.name")


def _plural(name: str) -> str:
    if name.endswith("y"):
        return f"{name[:-1]}ies"
    return name if name == "endpoints" else f"{name}es" if name.endswith("s") else f"{name}s"
