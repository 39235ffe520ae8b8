"""What is measured: each module writes rules of one kind as kube-proxy does, and says which programs load them.

To add one, add a module that declares a ``Backend``, and its test, ``test_<module>.py`` in
``tests/network/measuring/backends``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from kscale import shelf
from kscale.network.measuring.layout import Load


@dataclass(frozen=True)
class Command:
    """A program and what it reads; ``{program}`` in a word stands for one that was found."""

    words: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True)
class Backend:
    """One kind of rules.

    Attributes:
        name: as in the column ``backend``.
        mode: of kube-proxy; empty for what is below all modes.
        programs: that it needs.
        prepare: what is there before the first sync: hooks, fixed chains; not timed.
        full: writing everything.
        change: writing one change, the first, the second, … of several; None where nothing changes.
        timed: what else is timed on its own, by the word of the column ``what``.
        memory: field of /proc/meminfo that holds what the rules take; empty where it is not looked at.
        needs: path that the kernel has where it can do this; empty where only trying tells.
    """

    name: str
    mode: str
    programs: tuple[str, ...]
    prepare: Callable[[Load], list[Command]]
    full: Callable[[Load], list[Command]]
    change: Callable[[Load, int], list[Command]] | None = None
    timed: Callable[[Load], dict[str, list[Command]]] = lambda load: {}
    memory: str = ""
    needs: str = ""


@cache
def found() -> dict[str, Backend]:
    """Return every backend, by its name."""
    return shelf.declared(__name__, Backend)
