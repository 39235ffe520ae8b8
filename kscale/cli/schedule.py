"""``kscale schedule``: pending pods placed against nodes and bound pods, as Kubernetes objects have them."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from kscale.cli.options import Objects, Quiet
from kscale.cli.terminal import tell
from kscale.errors import InputError, one_line

if TYPE_CHECKING:
    import polars as pl

    from kscale.placing import Outcome
    from kscale.schedule import Placed, Plan


Verbose = Annotated[bool, Parameter(name=["-v", "--verbose"], negative="", show_default=False)]
Forms = Literal["table", "wide", "json", "yaml", "csv", "objects"]
#: Reasons why pods were not placed that a table tells.
_MOST_REASONS = 8
#: Rows of a table that is laid out for the terminal's width.
_MOST_FOLDED = 1000
#: Set by the API server: objects that carry them cannot be applied anew.
_SET_BY_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")


def schedule(
    *,
    filename: Objects,
    config: Path | None = None,
    order: Literal["queue", "given"] = "queue",
    out: Path | None = None,
    output: Annotated[Forms, Parameter(name=["-o", "--output"])] = "table",
    namespace: Annotated[str | None, Parameter(name=["-n", "--namespace"])] = None,
    selector: Annotated[str | None, Parameter(name=["-l", "--selector"])] = None,
    max_input: str = "2Gi",
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Place pending pods on nodes, next to the pods that are bound to them, as kube-scheduler v1.34.1 would.

    Nothing is asked of a cluster: nodes, pods and what else decides (claims, budgets, priority classes, services …)
    come from files. What becomes of each pending pod goes to standard output, what is filled in or ignored to standard
    error. A pod is scheduled, preempted (placed, after others were evicted for it), unschedulable, gated, no_profile
    (no profile has the name of its scheduler) or error. Pods that stay pending are results: the exit code is 0.

    Parameters
    ----------
    filename
        File or folder of Kubernetes objects, JSON or YAML, as of ``kubectl get -o json``; ``-`` is standard input. May
        be given several times.
    config
        KubeSchedulerConfiguration: its profiles and back-off; kube-scheduler's default without it.
    order
        ``queue``: all pending pods enter the scheduling queue at once, and are tried by priority, then in input order,
        again when room is made. ``given``: each once, in input order; victims are gone at once, and the pod that they
        made room for is bound in the same step.
    out
        Run folder to write, with report.html; an older run folder of this name is replaced.
    output
        ``json`` and ``yaml``: ``{"pods": [{namespace, name, status, node, victims, message}]}``. ``objects``: a List,
        in YAML, of the pending pods that were placed, with ``spec.nodeName``, for ``kubectl apply -f -``.
    namespace
        Print only the pods of this namespace; all are scheduled.
    selector
        Print only the pods whose labels it selects, such as ``app=web,tier!=db,zone in (a,b)``; all are scheduled.
    max_input
        Most bytes of a file, unpacked.
    verbose
        Say on standard error what was read, and how the run was made.
    quiet
        No progress and no notes on standard error.
    """
    from kscale.cli.progress import Reporter
    from kscale.cli.replay import check_out, parsed
    from kscale.cli.selector import parse_selector
    from kscale.schedule import Plan
    from kscale.schedule import schedule as do
    from kscale.state.manifests.names import check_name
    from kscale.state.quantities import parse_quantity
    from kscale.writing import Stages

    most = parsed("--max-input", parse_quantity, max_input) or 0
    plan = Plan(filename, config, order, out, most)
    wanted = parse_selector(selector) if selector is not None else None
    if namespace is not None:
        check_name(namespace, "--namespace", "namespace")
    if out is not None:
        check_out(out, config, *(Path(name) for name in filename))
    with Reporter(quiet=quiet) as reporter:
        placed = do(plan, Stages(reporter.stage), reporter.progress)
    if not quiet:
        tell_notes(placed.notes)
    if verbose:
        _tell_run(placed, plan)
    shown = [
        number for number, found in enumerate(placed.outcomes)
        if namespace in (None, found.namespace) and (wanted is None or _selects(wanted, _source(placed, number)))
    ]  # fmt: skip
    if output in ("table", "wide") and not shown:
        tell("no pending pod is selected" if placed.outcomes else "no pending pods")
    else:
        _show(placed, shown, output)
    if placed.run is not None and plan.out is not None:
        tell(f"report: {plan.out / 'report.html'}", stderr=True)
    return 0


def tell_notes(notes: list[str]) -> None:
    """Say on standard error what was filled in, is ignored or has no effect."""
    for note in notes:
        tell(f"note: {note}", stderr=True)


def _tell_run(placed: Placed, plan: Plan) -> None:
    read = ", ".join(f"{count:,} {kind}" for kind, count in sorted(placed.inventory.read.items()))
    tell(f"read: {read}", stderr=True)
    form = "compiled code" if placed.simulation.settings.compiled else "plain Python, because it is small"
    tries = int(placed.simulation.cluster.cluster_attempts[0])
    tell(f"ran as {form}: {tries:,} tries, {placed.seconds:.3f} s; order {plan.order}", stderr=True)


def _source(placed: Placed, number: int) -> dict[str, object]:
    """Return the object of a pending pod. Raises InputError where it is nested too deeply to be written."""
    try:
        return placed.inventory.source(number)
    except RecursionError:
        found = placed.outcomes[number]
        raise InputError(
            f"Pod {found.namespace}/{found.name} is nested too deeply", expected="objects as Kubernetes has them"
        ) from None


def _selects(wanted: object, source: dict[str, object]) -> bool:
    from kscale.state.manifests.selectors import selects

    meta = source.get("metadata")
    labels = meta.get("labels") if isinstance(meta, dict) else None
    return selects(wanted, labels or {})  # type: ignore[arg-type]


def _show(placed: Placed, shown: list[int], form: Forms) -> None:
    from kscale.cli.yamls import yaml_text

    found = [placed.outcomes[number] for number in shown]
    if form == "objects":
        sys.stdout.write(_objects(placed, shown))
    elif form in ("json", "yaml"):
        rows = {"pods": [_row(outcome) for outcome in found]}
        if form == "json":
            import json

            sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        else:
            sys.stdout.write(yaml_text(rows))
    else:
        _tables(found, form)


def _row(outcome: Outcome) -> dict[str, object]:
    return {
        "namespace": outcome.namespace, "name": outcome.name, "status": outcome.status, "node": outcome.node,
        "victims": list(outcome.victims), "message": outcome.message,
    }  # fmt: skip


def _objects(placed: Placed, shown: list[int]) -> str:
    """Return the pods that were placed, bound to their nodes, without what the API server sets."""
    from kscale.cli.yamls import yaml_text

    items = []
    victims: list[str] = []
    for number in shown:
        outcome = placed.outcomes[number]
        victims += outcome.victims
        if outcome.node is None or outcome.evicted:
            continue
        source = {key: value for key, value in _source(placed, number).items() if key != "status"}
        meta, spec = source.get("metadata"), source.get("spec")
        kept = {k: v for k, v in (meta if isinstance(meta, dict) else {}).items() if k not in _SET_BY_SERVER}
        items.append(
            source | {"metadata": kept, "spec": {**(spec if isinstance(spec, dict) else {}), "nodeName": outcome.node}}
        )
    pending = {f"{one.namespace}/{one.name}" for one in placed.outcomes}
    running = [name for name in victims if name not in pending]
    if running:
        tell(f"to be evicted before these are applied: {', '.join(running)}", stderr=True)
    try:
        return yaml_text({"apiVersion": "v1", "kind": "List", "items": items})
    except RecursionError:
        raise InputError("a pod is nested too deeply", expected="objects as Kubernetes has them") from None


def _tables(found: list[Outcome], form: Forms) -> None:
    import polars as pl

    from kscale.cli.tables import show

    victims = pl.Series("victims", [" ".join(one.victims) for one in found], dtype=pl.String)
    message = pl.Series("message", [one.message for one in found], dtype=pl.String)
    places = {"status": [one.status for one in found], "node": [one.node for one in found]}
    text = {"status": pl.String, "node": pl.String}
    if form == "csv":
        names = {"namespace": [one.namespace for one in found], "name": [one.name for one in found]}
        schema = {"namespace": pl.String, "name": pl.String, **text}
        show({"pods": pl.DataFrame({**names, **places}, schema=schema).with_columns(victims, message)}, "csv")
        return
    schema = {"pod": pl.String, **text}
    pods = pl.DataFrame({"pod": [f"{one.namespace}/{one.name}" for one in found], **places}, schema=schema)
    if form == "wide":
        _show_pods(pods.with_columns(victims, message), "wide")
    else:
        if any(one.victims for one in found):
            pods = pods.with_columns(victims=pl.Series([len(one.victims) for one in found]))
        if any(one.evicted for one in found):
            pods = pods.with_columns(evicted=pl.Series(["evicted later" if one.evicted else "" for one in found]))
        _show_pods(pods, "table")
        _show_unplaced(found)
    for line in _summary(found):
        tell(line)


def _show_pods(pods: pl.DataFrame, form: Literal["table", "wide"]) -> None:
    """Print the pods as a table: many of them as plain lines, which is fifty times as fast."""
    from kscale.cli.tables import show

    if pods.height <= _MOST_FOLDED:
        show({"pods": pods}, form)
        return
    columns = [[name, *(_cell(value) for value in pods[name])] for name in pods.columns]
    widths = [max(map(len, cells)) for cells in columns]
    padded = [[cell.ljust(width) for cell in cells] for cells, width in zip(columns, widths, strict=True)]
    sys.stdout.write("pods\n" + "".join(f"{'  '.join(row).rstrip()}\n" for row in zip(*padded, strict=True)) + "\n")


def _cell(value: object) -> str:
    return "-" if value is None else one_line(str(value), 1 << 20)


def _show_unplaced(found: list[Outcome]) -> None:
    """Print why pods were not placed, the most frequent reasons first."""
    import polars as pl

    from kscale.cli.tables import show

    counts = Counter((one.status, one.message) for one in found if one.node is None or one.evicted)
    rows = [(count, status, message) for (status, message), count in counts.most_common(_MOST_REASONS)]
    if rows:
        schema = {"pods": pl.Int64, "status": pl.String, "message": pl.String}
        show({"not placed": pl.DataFrame(rows, schema=schema, orient="row")}, "table")
    if len(counts) > len(rows):
        tell(f"({_counted(len(counts) - len(rows), 'more reason')} with -o wide)", style="dim")


def _summary(found: list[Outcome]) -> list[str]:
    """Return what became of the pods, in a line or two."""
    words = Counter("evicted" if one.evicted else one.status for one in found)
    gone = sum(len(one.victims) for one in found)
    by = [f"{words['preempted']:,} of them by preemption"] if words["preempted"] else []
    left = [f"{words[word]:,} {word}" for word in ("unschedulable", "gated", "no_profile", "error") if words[word]]
    placed = f"{words['scheduled'] + words['preempted']:,} of {_counted(len(found), 'pending pod')} placed"
    again = f", {words['evicted']:,} of which had just been placed" if words["evicted"] else ""
    return [", ".join([placed, *by, *left]), *([f"{_counted(gone, 'pod')} evicted{again}"] if gone else [])]


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
