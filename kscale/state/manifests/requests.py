"""What a pod requests, as kube-scheduler v1.34.1 counts it: two books, the true sums and those of the scores.

Amounts are added in thousandths and rounded up once, at the end, as quantities are.
Rules: k8s.io/component-helpers/resource, and SetDefaults_Pod of the API server.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from kscale.errors import InputError, nearest
from kscale.state.manifests.models import Container, ContainerStatus, PodSpec, Quantities, Quantity
from kscale.state.quantities import LARGEST, parse_quantity

#: What scoring counts for a container that states no request, in thousandths: 100m cpu, 200Mi memory.
NONZERO = {"cpu": 100, "memory": 200 * 1024 * 1024 * 1000}
#: Native resources that a container may ask for by a bare name.
_NATIVE = ("cpu", "memory", "ephemeral-storage")
Milli = dict[str, int]


@lru_cache(maxsize=1 << 16)
def thousandths(text: str) -> int:
    """Return a quantity in thousandths, rounded up. Raises InputError where it is none, negative or above 2^59."""
    whole = parse_quantity(text)
    if text.isdigit() or ("i" in text and "." not in text):
        return whole * 1000
    try:
        return parse_quantity(text, "cpu")
    except InputError:  # too large for thousandths
        return whole * 1000


def amount(quantity: Quantity, field: str) -> int:
    """Return a quantity of a manifest in thousandths; null is 0. Raises InputError."""
    if quantity is None:
        return 0
    text = quantity if isinstance(quantity, str) else str(quantity)
    try:
        return thousandths(text)
    except InputError as error:
        raise InputError(error.problem, field=field, expected=error.expected) from None


def amounts(quantities: Quantities | None, field: str) -> Milli:
    """Return quantities in thousandths by resource. Raises InputError."""
    return {name: amount(value, f"{field}.{name}") for name, value in (quantities or {}).items()}


def whole(milli: int, resource: str, field: str) -> int:
    """Return an amount as kscale counts it: cpu in milli, everything else in whole units, rounded up."""
    value = milli if resource == "cpu" else -(-milli // 1000)
    if value > LARGEST:
        raise InputError(f"{resource} adds up to {value:,}", field=field, expected="an amount of at most 2^59")
    return value


def pod_level(name: str) -> bool:
    """Tell whether a pod may request a resource as a whole (PodLevelResources)."""
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _checked(quantities: Milli, field: str) -> Milli:
    for name in quantities:
        if name not in _NATIVE and "/" not in name and not name.startswith("hugepages-"):
            raise InputError(
                f"'{name[:80]}' is no resource that a container can request{nearest(name[:80], _NATIVE)}",
                field=f"{field}.{name[:80]}",
                expected=f"{', '.join(_NATIVE)}, hugepages-<size> or a name with a domain, such as nvidia.com/gpu",
            )
    return quantities


def _container_requests(container: Container, field: str) -> Milli:
    """Return what a container requests; a limit without a request is the request."""
    resources = container.resources
    if resources is None:
        return {}
    limits = amounts(resources.limits, f"{field}.resources.limits")
    return _checked(limits | amounts(resources.requests, f"{field}.resources.requests"), f"{field}.resources.requests")


def requests_of(spec: PodSpec, statuses: Mapping[str, ContainerStatus], infeasible: bool = False) -> _Requests:
    """Return the requests of all containers. Raises InputError.

    ``statuses`` say what a resize has allotted, ``infeasible`` that the resize cannot be.
    """
    ordinary, initial = [], []
    for i, container in enumerate(spec.containers or ()):
        asked = _container_requests(container, f"spec.containers[{i}]")
        ordinary.append(_allotted(asked, statuses.get(container.name or ""), infeasible))
    for i, container in enumerate(spec.init_containers or ()):
        asked = _container_requests(container, f"spec.initContainers[{i}]")
        sidecar = container.restart_policy == "Always"
        if sidecar:
            asked = _allotted(asked, statuses.get(container.name or ""), infeasible)
        initial.append((asked, sidecar))
    return _Requests(ordinary, initial, spec)


def _allotted(asked: Milli, status: ContainerStatus | None, infeasible: bool) -> Milli:
    """Return the larger of what a container asks and what its status says it has (in-place resize)."""
    if status is None or status.resources is None:
        return asked
    actual = amounts(status.resources.requests, "status.containerStatuses.resources.requests")
    allocated = amounts(status.allocated_resources, "status.containerStatuses.allocatedResources")
    return _larger({} if infeasible else asked, actual, allocated)


def _larger(*lists: Milli) -> Milli:
    result: Milli = {}
    for quantities in lists:
        for name, value in quantities.items():
            result[name] = max(result.get(name, 0), value)
    return result


def _add(total: Milli, quantities: Milli) -> None:
    for name, value in quantities.items():
        total[name] = total.get(name, 0) + value


class _Requests:
    """The requests of a pod's containers, and of the pod as a whole, in thousandths."""

    def __init__(self, ordinary: list[Milli], initial: list[tuple[Milli, bool]], spec: PodSpec) -> None:
        self.ordinary, self.initial = ordinary, initial
        self.overhead = amounts(spec.overhead, "spec.overhead")
        limits, requests = {}, {}
        if spec.resources is not None:
            limits = amounts(spec.resources.limits, "spec.resources.limits")
            requests = amounts(spec.resources.requests, "spec.resources.requests")
        for name in (*limits, *requests):
            if not pod_level(name):
                raise InputError(
                    f"'{name[:80]}' cannot be requested for a pod as a whole",
                    field=f"spec.resources.requests.{name[:80]}",
                    expected="cpu, memory or hugepages-<size>",
                )
        if limits:
            own = {name: v for name, v in self.sum({}).items() if name in ("cpu", "memory")}
            requests = limits | own | requests
        self.whole = requests

    def sum(self, defaults: Milli) -> Milli:
        """Return what the containers need at most at one time; ``defaults`` stand in for what one does not state."""
        total: Milli = {}
        for asked in self.ordinary:
            _add(total, defaults | asked)
        running: Milli = {}
        most: Milli = {}
        for asked, sidecar in self.initial:
            stated = defaults | asked
            if sidecar:
                _add(total, stated)
                _add(running, stated)
                stated = running
            else:
                stated = dict(stated)
                _add(stated, running)
            most = _larger(most, stated)
        return _larger(total, most)

    def total(self, defaults: Milli) -> Milli:
        """Return the sum, or what the pod requests as a whole in its place, and the overhead."""
        total = self.sum(defaults) | self.whole
        _add(total, self.overhead)
        return total

    def requests(self) -> tuple[tuple[str, int], ...]:
        """Return the true sums as ``PodTemplate.requests`` has them. Raises InputError above 2^59."""
        total = self.total({})
        return tuple((name, whole(total[name], name, "spec")) for name in sorted(total) if total[name])

    def nonzero(self) -> tuple[int, int]:
        """Return cpu and memory as the allocation scores count them (``PodTemplate.nonzero``)."""
        defaults = NONZERO
        if self.whole:
            known = self.total({})
            defaults = {name: value for name, value in NONZERO.items() if name not in known}
        return _pair(self.total(defaults))

    def scored(self) -> tuple[int, int] | None:
        """Return ``PodTemplate.scored``: what is requested for the pod as a whole is left out (recorded of v1.34.1)."""
        if not self.whole:
            return None
        total = self.sum(NONZERO)
        _add(total, self.overhead)
        found = _pair(total)
        return None if found == self.nonzero() else found


def _pair(total: Milli) -> tuple[int, int]:
    return whole(total.get("cpu", 0), "cpu", "spec"), whole(total.get("memory", 0), "memory", "spec")


def allocatable(quantities: Quantities | None, field: str) -> dict[str, int]:
    """Return what a node offers: cpu in milli, everything else in whole units. Raises InputError."""
    return {name: whole(value, name, field) for name, value in amounts(quantities, field).items()}


def storage(quantities: Quantities | None, field: str) -> int:
    """Return the storage among ``quantities`` in bytes."""
    return whole(amounts(quantities, field).get("storage", 0), "storage", field)
