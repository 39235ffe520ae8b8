"""Kinds of objects, as leaves declare them, and what the columns of objects and requests hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kscale.state.manifests.workloads import Manifest

if TYPE_CHECKING:
    from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
#: Values of ``object_live``.
FREE, THERE, GONE = range(3)
#: Values of ``request_verb``.
CREATE, DELETE, ORPHAN_POD, TRACK = range(4)


@dataclass(frozen=True)
class Kind:
    """A kind of objects.

    Attributes:
        name: as Kubernetes calls it.
        table: of its columns; it has a row for each object.
        pods: whether its objects control pods.
        keeps: whether pods of it that have finished stay until they are deleted.
        tracks: whether they stay, also those that others delete, until their controller lets go of them.
        called: names of new objects that their controller creates, from the world and their rows; None where only
            people make them.
        progress: what its objects have come to, by the names of ``kscale.engine.history.PROGRESS``: what was asked
            for, what there is (updated: of the latest template), and the most pods and the fewest available ones that
            there may be. None where there is nothing to tell.
        scale: the column of its table that says how many pods are asked for.
        ordinals: whether its pods are called by their ordinals.
        manifest: how it is read; None where people do not write it.
        min_ready: the column of its table that says how long its pods are ready before they are available, in
            microseconds; empty where they are so at once.
        parts: the table in which each of its objects has as many rows in a row as the column ``part_count`` of its
            table says; the column ``part_first`` says where they begin, ``part_room`` how many there is room for.
            Empty where it has none.
        members: the table of its members, where it has some (kscale.engine.members).
        blocks: whether the foreground deletion of one waits for what it controls (blockOwnerDeletion).
        collected: whether the garbage collector deletes it when its owner is gone; its own controller does otherwise.
        by_node: whether its objects are looked at anew when nodes are described anew.
        by_name: whether those that have owners are found by their names too (``World.find``).
        evicts: decides, as the API server does, which of some pods (rows, each once) may be evicted at a time, and
            notes it in its objects; None where the kind has no say.
    """

    name: str
    table: str
    pods: bool = False
    keeps: bool = False
    tracks: bool = False
    called: Callable[[World, Rows], list[str]] | None = None
    min_ready: str = ""
    progress: Callable[[World, Rows], dict[str, Rows]] | None = None
    scale: str = ""
    ordinals: bool = False
    manifest: Manifest | None = None
    parts: str = ""
    members: str = ""
    blocks: bool = True
    collected: bool = True
    by_node: bool = False
    by_name: bool = False
    evicts: Callable[[World, Rows, int], Rows] | None = None
