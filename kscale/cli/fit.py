"""``kscale fit``: how many more of a pod there is room for."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kscale.cli.options import Flag, Objects, Output, Quiet, Whole
from kscale.cli.schedule import tell_notes
from kscale.cli.terminal import tell
from kscale.errors import InputError

if TYPE_CHECKING:
    from kscale.fit import Room
    from kscale.state.manifests import Inventory

#: Nodes of a table without -o wide.
_MOST = 20
#: Most clones that may be asked for.
_LARGEST = 10_000_000
#: Seconds between lines of progress.
_LINE_EVERY = 5.0


def fit(
    *pods: str,
    filename: Objects,
    pod: Annotated[tuple[Path, ...], Parameter(name="--pod", negative="", show_default=False)] = (),
    config: Path | None = None,
    namespace: Annotated[str | None, Parameter(name=["-n", "--namespace"])] = None,
    together: Flag = False,
    limit: Whole = 100_000,
    output: Output = "table",
    max_input: str = "2Gi",
    quiet: Quiet = False,
) -> None:
    """Tell how many more of a pod fit, on each node and in all, and what stops the next one.

    Clones of the pod are placed one after another next to the bound pods, each by a whole scheduling cycle, until none
    fits: spread, affinity and anti-affinity among them count. Other pending pods are left out, and nobody is evicted.

    Parameters
    ----------
    pods
        Names of pods, bound or pending, or NAMESPACE/NAME.
    filename
        File or folder of Kubernetes objects, JSON or YAML, as of ``kubectl get -o json``; ``-`` is standard input. May
        be given several times.
    pod
        File with pods that are to be fitted, beside those that are named. May be given several times.
    config
        KubeSchedulerConfiguration; kube-scheduler's default without it.
    namespace
        Namespace of the pods that are named.
    together
        Clones of all pods in turns, instead of each kind alone in the cluster as it is.
    limit
        Clones of each pod at most: one that requests nothing always fits.
    output
        Form of the output.
    max_input
        Most bytes of a file, unpacked.
    quiet
        No progress and no notes on standard error.
    """
    from kscale.cli.objects import read
    from kscale.cli.progress import Reporter
    from kscale.fit import fit as do

    if not 1 <= limit <= _LARGEST:
        raise InputError(f"is {limit:,}", field="--limit", expected=f"1 to {_LARGEST:,}")
    if not pods and not pod:
        raise InputError("PODS is missing", expected="names of pods, or --pod FILE")
    with Reporter(quiet=quiet) as reporter:
        named = _names_in(pod)
        inventory, configuration, notes = read([*filename, *map(str, pod)], config, max_input, reporter)
        rows = _rows(inventory, pods, namespace, named)
        reporter.stage("placing clones (of many, the first run compiles the loop: up to a minute)")
        found = do(inventory, rows, configuration, limit=limit, together=together, progress=_Lines(quiet=quiet))
    if not quiet:
        tell_notes(notes)
    if output in ("json", "yaml"):
        rows_of = {"pods": [_row(room) for room in found]}
        if output == "json":
            sys.stdout.write(json.dumps(rows_of, indent=2) + "\n")
        else:
            from kscale.cli.yamls import yaml_text

            sys.stdout.write(yaml_text(rows_of))
    else:
        _tables(found, output, limit)


class _Lines:
    """Tells on standard error, now and then, how many clones are placed."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._last = quiet, time.monotonic()

    def __call__(self, placed: int) -> None:
        if not self._quiet and time.monotonic() - self._last >= _LINE_EVERY:
            self._last = time.monotonic()
            tell(f"{placed:,} placed", stderr=True, style="dim")


def _names_in(files: tuple[Path, ...]) -> list[str]:
    """Return the pods of files as ``namespace/name``. Raises InputError."""
    from kscale.state.manifests import ReadOptions, read_objects
    from kscale.state.manifests.faults import named

    names = []
    for file in files:
        if str(file) == "-":
            raise InputError("cannot be standard input", field="--pod", expected="a file")
        found = [named(item.raw) for item in read_objects([file], ReadOptions()) if item.kind == "Pod"]
        if not found:
            raise InputError("has no pods", file=file, expected="a Pod")
        names += [name if "/" in name else f"default/{name}" for name in found]
    return names


def _rows(inventory: Inventory, pods: tuple[str, ...], namespace: str | None, named: list[str]) -> list[int]:
    """Return the rows of the pods, each once."""
    from kscale.selecting import find_pod

    rows = [find_pod(inventory, name, namespace) for name in pods] + [find_pod(inventory, name) for name in named]
    return list(dict.fromkeys(rows))


def _row(room: Room) -> dict[str, Any]:
    return {
        "pod": room.pod, "fits": room.count, "limited": room.limited, "message": room.message or None,
        "nodes": room.nodes,
    }  # fmt: skip


def _tables(found: list[Room], form: Output, limit: int) -> None:
    import polars as pl

    from kscale.cli.tables import show

    most = _MOST if form == "table" else None
    rows = [(room.pod, node, count) for room in found for node, count in room.nodes.items()]
    if form in ("csv", "markdown"):
        schema = {"pod": pl.String, "node": pl.String, "fits": pl.Int64}
        show({"fits": pl.DataFrame(rows, schema=schema, orient="row")}, form)
        return
    for room in found:
        least = "at least " if room.limited else ""
        where = f", on {len(room.nodes):,} node{'' if len(room.nodes) == 1 else 's'}" if room.nodes else ""
        tell(f"{room.pod}: {least}{room.count:,} more {'fits' if room.count == 1 else 'fit'}{where}", style="bold")
        stopped = room.message or (f"the limit of {limit:,} was reached" if room.limited else "")
        tell(f"the next one: {stopped}")
        tell("")
        if not room.nodes:
            continue
        order = sorted(room.nodes.items(), key=lambda item: -item[1])
        shown = order[:most]
        columns = {"node": [name for name, _ in shown], "fits": [count for _, count in shown]}
        show({"by node": pl.DataFrame(columns)}, form)
        if len(order) > len(shown):
            tell(f"({len(order) - len(shown):,} more nodes with -o wide)", style="dim")
            tell("")
