"""Changes of objects as JSON: what is changed is made anew, the rest is shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kscale.errors import InputError, nearest

#: An object, or a part of one.
Found = dict[str, Any]
#: The annotation that kubectl rollout restart writes.
RESTARTED = "kubectl.kubernetes.io/restartedAt"
#: What kubectl apply keeps of what it has applied last.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: Fields of a spec that the API server lets nobody change once they are stated (validation of apps/v1 and batch/v1).
FIXED = {
    "DaemonSet": ("selector",),
    "Deployment": ("selector",),
    "Job": ("selector", "template", "completionMode"),
    "ReplicaSet": ("selector",),
    "Service": ("clusterIP",),
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
}


def part(found: Any, path: Sequence[str]) -> Any:
    """Return what lies at a path, None where there is nothing."""
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def changed(found: Any, path: Sequence[str], value: Any) -> Found:
    """Return an object with ``value`` at a path; None takes away what is there."""
    kept = dict(found) if isinstance(found, dict) else {}
    if len(path) > 1:
        kept[path[0]] = changed(kept.get(path[0]), path[1:], value)
    elif value is None:
        kept.pop(path[0], None)
    else:
        kept[path[0]] = value
    return kept


def check_fixed(kind: str, before: Found, after: Found) -> None:
    """Check that nothing changes that may not. Raises InputError."""
    for name in FIXED.get(kind, ()):
        old, new = part(before, ("spec", name)), part(after, ("spec", name))
        if old is not None and new is not None and old != new:
            raise InputError(f"cannot be changed in a {kind}", field=f"spec.{name}", expected="what it was before")


def template_path(found: Found, field: str) -> tuple[str, ...]:
    """Return where the template of its pods is. Raises InputError."""
    for path in (("spec", "template"), ("spec", "jobTemplate", "spec", "template")):
        if isinstance(part(found, path), dict):
            return path
    raise InputError("has no pod template", field=field, expected="a workload")


def with_images(found: Found, images: Mapping[str, str], field: str) -> Found:
    """Return an object whose containers have other images; ``*`` names all. Raises InputError."""
    path = (*template_path(found, field), "spec")
    names: list[str] = []
    for group in ("containers", "initContainers"):
        given = part(found, (*path, group))
        containers = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
        names += [str(one.get("name")) for one in containers]
        new = [_with_image(one, images) for one in containers]
        if new != containers:
            found = changed(found, (*path, group), new)
    for name, image in images.items():
        if not image:
            raise InputError("is empty", field=f"{field}.{name[:80]}", expected="an image")
        if name != "*" and name not in names:
            raise InputError(
                f"there is no container '{name[:80]}'{nearest(name[:80], names)}", field=field,
                expected=f"one of {', '.join(names)[:200]}",
            )  # fmt: skip
    return found


def _with_image(container: Found, images: Mapping[str, str]) -> Found:
    image = images.get(str(container.get("name")), images.get("*"))
    return container if image is None else {**container, "image": image}


def merged(live: Any, last: Any, new: Any) -> Any:
    """Return what kubectl apply makes of an object: ``new`` over ``live``, without what ``last`` had and it has not.

    Lists of things with names are merged by name, other lists are replaced.
    """
    if isinstance(new, dict) and isinstance(live, dict):
        last = last if isinstance(last, dict) else {}
        kept = {key: value for key, value in live.items() if key in new or key not in last}
        return kept | {key: merged(live.get(key), last.get(key), value) for key, value in new.items()}
    if _named(new) and _named(live):
        lives, lasts = _by_name(live), _by_name(last if _named(last) else [])
        both = [merged(lives.get(one["name"]), lasts.get(one["name"]), one) for one in new]
        given = _by_name(new)
        return both + [one for name, one in lives.items() if name not in given and name not in lasts]
    return new


def _named(found: Any) -> bool:
    return isinstance(found, list) and bool(found) and all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in found
    )  # fmt: skip


def _by_name(found: list[Found]) -> dict[str, Found]:
    return {one["name"]: one for one in found}
