"""``kscale explain``: for one pod, what every plug-in says of every node, who wins, and why."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from kscale.cli.options import Objects, Quiet
from kscale.cli.schedule import tell_notes
from kscale.cli.terminal import console, tell

if TYPE_CHECKING:
    import polars as pl

    from kscale.explain import Explanation, NodeVerdict

Form = Literal["table", "wide", "json", "yaml", "csv"]
#: Rows of a table without -o wide; of more nodes that do not fit, reasons are told instead.
_MOST = 20
_NAMED = 3
#: kube-scheduler's plug-ins as heads of narrow columns.
_SHORT = {
    "TaintToleration": "taints", "NodeAffinity": "labels", "NodeResourcesFit": "fit", "VolumeBinding": "volumes",
    "PodTopologySpread": "spread", "InterPodAffinity": "pods", "NodeResourcesBalancedAllocation": "balance",
    "ImageLocality": "images",
}  # fmt: skip
_CODES = {"UnschedulableAndUnresolvable": "Unresolvable"}
#: The same, of what kube-scheduler says of evicting pods.
_WORDS = {
    "Preemption is not helpful for scheduling": "not helpful",
    "No preemption victims found for incoming pod": "no victims",
}  # fmt: skip


def explain(
    pod: str,
    /,
    *,
    filename: Objects,
    config: Path | None = None,
    namespace: Annotated[str | None, Parameter(name=["-n", "--namespace"])] = None,
    after: Literal["none", "queue", "given"] = "none",
    output: Annotated[Form, Parameter(name=["-o", "--output"])] = "table",
    max_input: str = "2Gi",
    quiet: Quiet = False,
) -> None:
    """Explain where one pod goes, or why nowhere: what every plug-in says of every node.

    Per node the filter that rejects it, why, and with which code; of nodes that fit, the score of every plug-in and the
    total; the node that wins; the event line that kubectl shows; and where no node fits, who would be evicted on which
    node. A bound pod is explained as if it were pending, and not on its node. Nothing is asked of a cluster.

    Parameters
    ----------
    pod
        Name of the pod, or NAMESPACE/NAME.
    filename
        File or folder of Kubernetes objects, JSON or YAML, as of ``kubectl get -o json``; ``-`` is standard input. May
        be given several times.
    config
        KubeSchedulerConfiguration; kube-scheduler's default without it.
    namespace
        Namespace of the pod.
    after
        Pending pods to place before it, each once: ``queue``, those that are tried before it (by priority, then in
        input order); ``given``, those that stand before it in the input.
    output
        ``table`` tells the first nodes, or the reasons of many; ``wide``, ``json``, ``yaml`` and ``csv`` tell all.
    max_input
        Most bytes of a file, unpacked.
    quiet
        No progress and no notes on standard error.
    """
    from kscale.cli.objects import read
    from kscale.cli.progress import Reporter
    from kscale.explain import explain as do
    from kscale.selecting import find_pod

    with Reporter(quiet=quiet) as reporter:
        inventory, configuration, notes = read(filename, config, max_input, reporter)
        row = find_pod(inventory, pod, namespace)
        reporter.stage("looking at all nodes (the first look at many of them compiles the loop: about a minute)")
        found = do(inventory, row, configuration, after=after)
    if not quiet:
        tell_notes(notes)
    if output == "json":
        sys.stdout.write(json.dumps(data(found), indent=2) + "\n")
    elif output == "yaml":
        from kscale.cli.yamls import yaml_text

        sys.stdout.write(yaml_text(data(found)))
    elif output == "csv":
        from kscale.cli.tables import show

        show({"nodes": _whole(found)}, "csv")
    else:
        _tell(found, wide=output == "wide")


def data(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON has it."""
    outcome = found.outcome
    bar = found.bar
    return {
        "pod": f"{outcome.namespace}/{outcome.name}", "profile": found.profile, "bound_to": found.bound_to,
        "after": found.before, "status": outcome.status, "node": outcome.node, "victims": list(outcome.victims),
        "message": found.message, "why": found.why, "ties": list(found.ties),
        "prefilter": bar and {"plugin": bar.plugin, "code": bar.code, "reasons": list(bar.reasons)},
        "nodes": [_node(node) for node in found.nodes],
    }  # fmt: skip


def _node(node: NodeVerdict) -> dict[str, Any]:
    room = node.room
    return {
        "node": node.name, "fits": node.total is not None, "plugin": node.status.plugin or None,
        "code": node.status.code, "reasons": list(node.status.reasons), "rejected_by": list(node.rejecting),
        "total": node.total,
        "scores": {
            score.plugin: {"raw": score.raw, "points": score.points, "weight": score.weight} for score in node.scores
        },
        "evicting": room and {
            "helps": bool(room.victims), "victims": list(room.victims), "budgets_broken": room.broken,
            "reasons": list(room.reasons),
        },
    }  # fmt: skip


def _whole(found: Explanation) -> pl.DataFrame:
    """Return all that is said of every node, a row each."""
    import polars as pl

    from kscale.explain import score_order

    plugins = score_order(found)
    rows = []
    for node in found.nodes:
        scores = {score.plugin: score for score in node.scores}
        row: dict[str, Any] = {
            "node": node.name, "total": node.total, "plugin": node.status.plugin or None, "code": node.status.code,
            "reasons": "; ".join(node.status.reasons) or None, "rejected_by": " ".join(node.rejecting) or None,
        }  # fmt: skip
        for name in plugins:
            score = scores.get(name)
            row |= {f"{name} raw": score and score.raw, f"{name} points": score and score.points}
            row[f"{name} weight"] = score and score.weight
        if node.room is not None:
            row["victims"] = " ".join(node.room.victims) or None
            row["budgets_broken"] = node.room.broken
            row["evicting"] = "; ".join(node.room.reasons) or None
        rows.append(row)
    numbers = {f"{name} {what}": pl.Int64 for name in plugins for what in ("raw", "points", "weight")}
    texts = dict.fromkeys(("plugin", "code", "reasons", "rejected_by"), pl.String)
    return pl.DataFrame(
        rows,
        schema={
            "node": pl.String, "total": pl.Int64, **texts, **numbers, "victims": pl.String, "budgets_broken": pl.Int64,
            "evicting": pl.String,
        },
    )  # fmt: skip


def _tell(found: Explanation, *, wide: bool) -> None:
    outcome = found.outcome
    where = f" on {outcome.node}" if outcome.node is not None else ""
    where += f", for which {_counted(len(outcome.victims), 'pod')} would be evicted" if outcome.victims else ""
    now = f" (bound to {found.bound_to} now)" if found.bound_to is not None else ""
    tell(f"{outcome.namespace}/{outcome.name}: {outcome.status}{where}{now}", style="bold")
    tell(found.why)
    tell(f"event: {found.message}")
    if found.before:
        tell(f"{found.before:,} other pending pods were placed before it", style="dim")
    if found.bar is not None:
        tell(f"verdict: {found.bar.plugin}: {'; '.join(found.bar.reasons)} ({found.bar.code})")
    tell("")
    fitting = sorted((node for node in found.nodes if node.total is not None), key=lambda node: -(node.total or 0))
    if fitting:
        _tell_scores(found, fitting, wide=wide)
    rejected = [node for node in found.nodes if node.total is None]
    if rejected:
        _tell_rejected(rejected, wide=wide)
    helped = [node for node in found.nodes if node.room is not None and node.room.victims]
    if helped:
        _tell_evictions(found, helped, wide=wide)


def _tell_scores(found: Explanation, fitting: list[NodeVerdict], *, wide: bool) -> None:
    import polars as pl

    from kscale.cli.tables import show
    from kscale.explain import score_order

    plugins = score_order(found)
    weights = {score.plugin: score.weight for node in fitting for score in node.scores}
    shown = fitting if wide else fitting[:_MOST]
    columns: dict[str, list[Any]] = {"node": [node.name for node in shown], "total": [node.total for node in shown]}
    for name in plugins:
        scores = [next(score for score in node.scores if score.plugin == name) for node in shown]
        if wide:
            columns[f"{name} raw"] = [score.raw for score in scores]
            columns[f"{name} × {weights[name]}"] = [score.points * score.weight for score in scores]
        else:
            columns[_SHORT.get(name, name)] = [score.points * score.weight for score in scores]
    show({f"{_counted(len(fitting), 'node')} where it fits": pl.DataFrame(columns)}, "wide" if wide else "table")
    if len(fitting) > len(shown):
        tell(f"({len(fitting) - len(shown):,} more nodes with -o wide)", style="dim")
    if not wide:
        # Held together by spaces at which no line is broken.
        legend = [f"{_SHORT[name]}\xa0{name}\xa0×\xa0{weights[name]}" for name in plugins if name in _SHORT]
        console().print(f"points × weight: {', '.join(legend)}", style="dim")
        tell("")


def _tell_rejected(rejected: list[NodeVerdict], *, wide: bool) -> None:
    import polars as pl

    from kscale.cli.tables import show

    title = f"{_counted(len(rejected), 'node')} where it does not fit"
    if wide or len(rejected) <= _MOST:
        columns = {
            "node": [node.name for node in rejected], "plugin": [node.status.plugin or None for node in rejected],
            "reason": ["; ".join(node.status.reasons) for node in rejected],
            "code": [node.status.code if wide else _CODES.get(node.status.code, node.status.code) for node in rejected],
        }  # fmt: skip
        if wide:
            columns["rejected by"] = [" ".join(node.rejecting) for node in rejected]
        if any(node.room for node in rejected):
            columns["evicting"] = [_evicting(node, wide=wide) for node in rejected]
        show({title: pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))}, "wide" if wide else "table")
        return
    groups = Counter((node.status, _evicting(node)) for node in rejected)
    names = {key: [node.name for node in rejected if (node.status, _evicting(node)) == key] for key in groups}
    rows = [
        {
            "nodes": count, "plugin": status.plugin or None, "reason": "; ".join(status.reasons),
            "code": _CODES.get(status.code, status.code), "evicting": evicting,
            "names": " ".join(names[status, evicting][:_NAMED]) + (" …" if count > _NAMED else ""),
        }
        for (status, evicting), count in groups.most_common(_MOST)
    ]  # fmt: skip
    schema = {"nodes": pl.Int64, **dict.fromkeys(("plugin", "reason", "code", "evicting", "names"), pl.String)}
    frame = pl.DataFrame(rows, schema=schema)
    show({title: frame if any(node.room for node in rejected) else frame.drop("evicting")}, "table")


def _evicting(node: NodeVerdict, *, wide: bool = False) -> str:
    """Return in a few words what evicting pods on the node would do."""
    if node.room is None:
        return ""
    if node.room.victims:
        return _counted(len(node.room.victims), "victim")
    return "; ".join(reason if wide else _WORDS.get(reason, reason) for reason in node.room.reasons)


def _tell_evictions(found: Explanation, helped: list[NodeVerdict], *, wide: bool) -> None:
    import polars as pl

    from kscale.cli.tables import show

    shown = helped if wide else helped[:_MOST]
    rows = [
        {"node": node.name, "budgets broken": node.room.broken, "victims": " ".join(node.room.victims),
         "chosen": "yes" if node.name == found.outcome.node else None}
        for node in shown if node.room is not None
    ]  # fmt: skip
    schema = {"node": pl.String, "budgets broken": pl.Int64, "victims": pl.String, "chosen": pl.String}
    title = f"{_counted(len(helped), 'node')} where evicting pods makes room"
    show({title: pl.DataFrame(rows, schema=schema)}, "wide" if wide else "table")
    if len(helped) > len(shown):
        tell(f"({len(helped) - len(shown):,} more nodes with -o wide)", style="dim")


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
