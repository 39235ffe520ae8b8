"""The garbage collector's rules in plain Python: objects and pods as they say who owns them."""

from __future__ import annotations

from dataclasses import dataclass

BACKGROUND, ORPHAN, FOREGROUND = range(3)


@dataclass
class Thing:
    """An object or a pod.

    ``owner`` is a number among the things; ``waits_for`` is the policy with which it is being deleted, None while it is
    not.
    """

    owner: int | None
    blocks: bool
    is_pod: bool = False
    waits_for: int | None = None
    there: bool = True


def delete(thing: Thing, policy: int) -> None:
    """Delete a thing: in the background, it is gone at once."""
    thing.waits_for = policy
    thing.there = policy != BACKGROUND


def collect(things: list[Thing]) -> None:
    """Go over all things again and again, until nothing changes; pods take no time to stop."""
    while any(_look(things, number) for number in range(len(things))):
        pass


def _look(things: list[Thing], number: int) -> bool:
    owner = things[number]
    mine = [thing for thing in things if thing.owner == number and thing.there]
    if not owner.there:
        chosen = [thing for thing in mine if thing.waits_for is None]
        for thing in chosen:
            delete(thing, BACKGROUND)
        return bool(chosen)
    if owner.waits_for == ORPHAN:
        for thing in mine:
            thing.owner = None
        owner.there = False
        return True
    if owner.waits_for == FOREGROUND:
        blocking = [thing for thing in mine if thing.blocks]
        chosen = [thing for thing in blocking if thing.waits_for is None]
        for thing in chosen:
            place = next(i for i, other in enumerate(things) if other is thing)
            blocked = any(one.owner == place and one.there and one.blocks for one in things)
            delete(thing, FOREGROUND if blocked else BACKGROUND)
        owner.there = bool(blocking)
        return bool(chosen) or not blocking
    return False
