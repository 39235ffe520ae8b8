"""Dynamic resource allocation, as far as it is counted: devices per class and node, and what claims ask for.

Read of resource.k8s.io: v1, v1beta2 and v1beta1. Of CEL only conjunctions of equalities are read (driver, attributes);
what goes beyond that is counted as not modelled.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from kscale.errors import InputError
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.models import Meta, Part

#: Most devices that a request may ask for; the API allows 32 per claim.
MOST_DEVICES = 1 << 15
_MODES = ("ExactCount", "All")
_EQUAL = re.compile(
    r"""device\.(?:(?P<driver>driver)|attributes\[(?P<q>["'])(?P<domain>[^"']+)(?P=q)\]\.(?P<name>\w+))"""
    r"""\s*==\s*(?:(?P<v>["'])(?P<text>[^"']*)(?P=v)|(?P<word>true|false|-?\d+))""",
    re.ASCII,
)


class Cel(Part, frozen=True):
    """resource.k8s.io CELDeviceSelector."""

    expression: str | None = None


class DeviceSelector(Part, frozen=True):
    """resource.k8s.io DeviceSelector."""

    cel: Cel | None = None


class DeviceClassSpec(Part, frozen=True):
    """resource.k8s.io DeviceClassSpec."""

    selectors: tuple[DeviceSelector, ...] | None = None


class DeviceClass(Part, frozen=True):
    """resource.k8s.io DeviceClass."""

    metadata: Meta | None = None
    spec: DeviceClassSpec | None = None


class ExactRequest(Part, frozen=True):
    """resource.k8s.io ExactDeviceRequest."""

    device_class_name: str | None = None
    allocation_mode: str | None = None
    count: int | None = None
    selectors: tuple[DeviceSelector, ...] | None = None
    admin_access: bool | None = None


class DeviceRequest(ExactRequest, frozen=True):
    """resource.k8s.io DeviceRequest: since v1beta2 the exact request is a part of its own."""

    exactly: ExactRequest | None = None
    first_available: tuple[ExactRequest, ...] | None = None


class Devices(Part, frozen=True):
    """resource.k8s.io DeviceClaim."""

    requests: tuple[DeviceRequest, ...] | None = None
    constraints: tuple[msgspec.Raw, ...] | None = None


class ClaimSpec(Part, frozen=True):
    """resource.k8s.io ResourceClaimSpec."""

    devices: Devices | None = None


class ResourceClaim(Part, frozen=True):
    """resource.k8s.io ResourceClaim."""

    metadata: Meta | None = None
    spec: ClaimSpec | None = None


class TemplateSpec(Part, frozen=True):
    """resource.k8s.io ResourceClaimTemplateSpec."""

    spec: ClaimSpec | None = None


class ResourceClaimTemplate(Part, frozen=True):
    """resource.k8s.io ResourceClaimTemplate."""

    metadata: Meta | None = None
    spec: TemplateSpec | None = None


class Attribute(Part, frozen=True):
    """resource.k8s.io DeviceAttribute."""

    string: str | None = None
    version: str | None = None
    flag: bool | None = msgspec.field(default=None, name="bool")
    number: int | None = msgspec.field(default=None, name="int")


class Basic(Part, frozen=True):
    """resource.k8s.io/v1beta1 BasicDevice."""

    attributes: dict[str, Attribute] | None = None


class Device(Basic, frozen=True):
    """resource.k8s.io Device."""

    basic: Basic | None = None


class Pool(Part, frozen=True):
    """resource.k8s.io ResourcePool."""

    name: str | None = None
    generation: int | None = None


class SliceSpec(Part, frozen=True):
    """resource.k8s.io ResourceSliceSpec."""

    driver: str | None = None
    node_name: str | None = None
    pool: Pool | None = None
    devices: tuple[Device, ...] | None = None


class ResourceSlice(Part, frozen=True):
    """resource.k8s.io ResourceSlice."""

    metadata: Meta | None = None
    spec: SliceSpec | None = None


Equality = tuple[str, str, str]


@dataclass
class Allocation:
    """Device classes, claims and slices as they come in.

    ``asked`` is what claims and templates ask for, by (kind, namespace, name): device classes and counts.
    """

    classes: dict[str, tuple[Equality, ...] | None] = field(default_factory=dict)
    asked: dict[tuple[str, str, str], tuple[tuple[str, int], ...]] = field(default_factory=dict)
    slices: list[SliceSpec] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, found: object, namespace: str, name: str) -> None:
        """Add a decoded object. Raises InputError with the field that is wrong."""
        if isinstance(found, DeviceClass):
            selectors = (found.spec.selectors if found.spec else None) or ()
            self.classes[name] = equalities(selectors)
            if self.classes[name] is None:
                self.ignored["DeviceClass.spec.selectors: beyond equalities; none of its devices count"] += 1
        elif isinstance(found, ResourceClaim):
            self.asked[kind, namespace, name] = self._asked(found.spec, "spec.devices")
        elif isinstance(found, ResourceClaimTemplate):
            spec = found.spec.spec if found.spec else None
            self.asked[kind, namespace, name] = self._asked(spec, "spec.spec.devices")
        elif isinstance(found, ResourceSlice) and found.spec is not None:
            if found.spec.node_name:
                self.slices.append(found.spec)
            else:
                self.ignored["ResourceSlice: of no one node"] += 1

    def _asked(self, spec: ClaimSpec | None, where: str) -> tuple[tuple[str, int], ...]:
        counts: Counter[str] = Counter()
        devices = (spec.devices if spec else None) or Devices()
        if devices.constraints:
            self.ignored["ResourceClaim.spec.devices.constraints"] += 1
        for i, request in enumerate(devices.requests or ()):
            at = f"{where}.requests[{i}]"
            exact: ExactRequest = request.exactly or request
            if request.first_available:
                self.ignored["ResourceClaim.spec.devices.requests.firstAvailable: the first is taken"] += 1
                exact = request.first_available[0]
            if exact.admin_access:
                continue
            if exact.selectors:
                self.ignored["ResourceClaim.spec.devices.requests.selectors"] += 1
            if one_of(exact.allocation_mode or "ExactCount", _MODES, f"{at}.allocationMode") == "All":
                self.ignored["ResourceClaim.spec.devices.requests.allocationMode: All"] += 1
                continue
            count = 1 if exact.count is None else exact.count
            if not 1 <= count <= MOST_DEVICES:
                raise InputError(f"is {count}", field=f"{at}.count", expected=f"1 to {MOST_DEVICES}")
            counts[need(exact.device_class_name, f"{at}.deviceClassName", "the name of a DeviceClass")] += count
        return tuple(sorted(counts.items()))

    def of_pod(
        self, claims: Iterable[models.PodResourceClaim], namespace: str
    ) -> tuple[tuple[tuple[str, int], ...], tuple[str, ...]]:
        """Return what a pod's claims ask for, and the claims that it names (others may name them too)."""
        counts: Counter[str] = Counter()
        shared = []
        for claim in claims:
            if claim.resource_claim_name:
                key = ("ResourceClaim", namespace, claim.resource_claim_name)
                shared.append(f"{namespace}/{claim.resource_claim_name}")
            else:
                key = ("ResourceClaimTemplate", namespace, claim.resource_claim_template_name or "")
            counts.update(dict(self.asked.get(key, ())))
        return tuple(sorted(counts.items())), tuple(dict.fromkeys(shared))

    def counts(self, row_of: Mapping[str, int]) -> dict[str, tuple[tuple[int, int], ...]]:
        """Return how many devices of each class each node has (``Surroundings.device_counts``)."""
        found: dict[str, Counter[int]] = {
            name: Counter() for name, wanted in self.classes.items() if wanted is not None
        }
        for one in self._latest():
            row = row_of.get(one.node_name or "")
            if row is None:
                self.ignored["ResourceSlice: of a node that is not there"] += 1
                continue
            for device in one.devices or ():
                facts = _facts(one.driver or "", device)
                for name, counts in found.items():
                    if facts.issuperset(self.classes[name] or ()):
                        counts[row] += 1
        return {name: tuple(sorted(counts.items())) for name, counts in found.items()}

    def _latest(self) -> Iterator[SliceSpec]:
        """Yield the slices of the newest generation of each pool."""
        newest: dict[tuple[str, str], int] = {}
        for one in self.slices:
            pool = one.pool or Pool()
            key = (one.driver or "", pool.name or "")
            newest[key] = max(newest.get(key, 0), pool.generation or 0)
        for one in self.slices:
            pool = one.pool or Pool()
            if newest[one.driver or "", pool.name or ""] == (pool.generation or 0):
                yield one


def equalities(selectors: Iterable[DeviceSelector]) -> tuple[Equality, ...] | None:
    """Return the equalities that a device must meet, or None where an expression says something else."""
    wanted: list[Equality] = []
    for selector in selectors:
        for part in ((selector.cel.expression if selector.cel else None) or "").split("&&"):
            text = part.strip().strip("()").strip()
            found = _EQUAL.fullmatch(text) if len(text) < 1000 else None
            if found is None:
                return None
            value = found["text"] if found["text"] is not None else found["word"]
            wanted.append(("", "driver", value) if found["driver"] else (found["domain"], found["name"], value))
    return tuple(wanted)


def _facts(driver: str, device: Device) -> set[Equality]:
    """Return what holds of a device; attributes without a domain are of the driver's."""
    facts = {("", "driver", driver)}
    attributes = device.attributes or (device.basic.attributes if device.basic else None) or {}
    for key, attribute in attributes.items():
        domain, _, name = key.rpartition("/")
        for value in (attribute.string, attribute.version, attribute.number):
            if value is not None:
                facts.add((domain or driver, name, str(value)))
        if attribute.flag is not None:
            facts.add((domain or driver, name, "true" if attribute.flag else "false"))
    return facts
