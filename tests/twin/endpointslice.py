"""The rules of EndpointSlices and Endpoints for one service, in plain Python: lists of what is said of each pod."""

from __future__ import annotations

from dataclasses import dataclass, field

NO_PORTS = 0


@dataclass
class Endpoint:
    serial: int
    state: int
    hint: int = -1


@dataclass
class Slice:
    """A slice; ``calls`` are those that its change takes."""

    ports: int
    endpoints: list[Endpoint] = field(default_factory=list)
    fate: str = "same"


def reconcile(slices: list[Slice], ports: int, wanted: list[Endpoint], most: int) -> list[Slice]:
    """Change ``slices``, the oldest first, and return those that are new; ``fate`` says what becomes of each."""
    emptied, foreign, changed, same = [], [], [], []
    open_ = {endpoint.serial: endpoint for endpoint in wanted}
    for slice_ in slices:
        if not wanted or slice_.ports != ports:
            foreign.append(slice_)
            continue
        before, kept, different = len(slice_.endpoints), [], False
        for endpoint in slice_.endpoints:
            better = open_.pop(endpoint.serial, None)
            if better is not None:
                different = different or better.state != endpoint.state
                kept.append(Endpoint(endpoint.serial, better.state, endpoint.hint))
        if not different and len(kept) == before:
            same.append(slice_)
        elif kept:
            slice_.endpoints = kept
            changed.append(slice_)
        else:
            emptied.append(slice_)
    new_ones = [endpoint for endpoint in wanted if endpoint.serial in open_]
    for slice_ in sorted(changed, key=lambda one: -len(one.endpoints)):
        while new_ones and len(slice_.endpoints) < most:
            slice_.endpoints.append(new_ones.pop(0))
    made: list[Slice] = []
    while new_ones:
        fitting = [one for one in same if len(one.endpoints) + len(new_ones) <= most] if len(new_ones) < most else []
        if fitting:
            chosen = max(fitting, key=lambda one: len(one.endpoints))
            same.remove(chosen)
            changed.append(chosen)
        else:
            chosen = Slice(ports)
            made.append(chosen)
        while new_ones and len(chosen.endpoints) < most:
            chosen.endpoints.append(new_ones.pop(0))
    going = emptied + foreign
    if len(going) == len(slices) and not made:
        if len(going) == 1 and going[0].ports == NO_PORTS and not going[0].endpoints:
            going = []
        else:
            made.append(Slice(NO_PORTS))
    while going and made:
        over, new = going.pop(0), made.pop()
        over.ports, over.endpoints = new.ports, new.endpoints
        changed.append(over)
    hints = {endpoint.serial: endpoint.hint for endpoint in wanted}
    for slice_ in slices:
        if any(slice_ is one for one in going):
            slice_.fate = "deleted"
            continue
        before = [endpoint.hint for endpoint in slice_.endpoints]
        slice_.endpoints = [Endpoint(one.serial, one.state, hints[one.serial]) for one in slice_.endpoints]
        after = [endpoint.hint for endpoint in slice_.endpoints]
        if any(slice_ is one for one in changed) or before != after:
            slice_.fate = "written"
    return made


def addresses(pods: list[tuple[int, bool, bool]], publish: bool, most: int) -> tuple[list[tuple[int, int]], bool]:
    """Return (serial, ready) of pods (serial, ready, terminating) with an address, and whether some are left out."""
    named = [(serial, publish or ready) for serial, ready, terminating in pods if publish or not terminating]
    first = sorted(serial for serial, ready in named if ready)
    then = sorted(serial for serial, ready in named if not ready)
    told = [(serial, 1) for serial in first] + [(serial, 0) for serial in then]
    return told[:most], len(told) > most
