"""``kscale netpol``: who reaches whom under NetworkPolicies and why not, and what policies put on each node."""

from __future__ import annotations

import ipaddress
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from kscale.cli.options import Form, Objects, Output, Quiet
from kscale.cli.proxy import Choices, modes_named, options_given
from kscale.cli.schedule import tell_notes
from kscale.cli.terminal import tell
from kscale.errors import InputError

if TYPE_CHECKING:
    from kscale.network.dump import Dump
    from kscale.network.policy.reading import Cluster
    from kscale.network.policy.why import Side
    from kscale.network.proxies import Mode
    from kscale.network.translation import Translation
    from kscale.reaching import Reaching, Whom

#: Pairs that are told one by one: without ``--from`` and ``--to``, and with one of them; of more, counts are told.
_FEW, _MANY = 100, 20_000
#: Rows of a table without -o wide.
_MOST = 40
_Family = Literal["IPv4", "IPv6"]


def reach(
    *,
    filename: Objects,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: Annotated[str | None, Parameter(name="--to")] = None,
    port: str = "80/TCP",
    namespace: Annotated[str | None, Parameter(name=["-n", "--namespace"])] = None,
    family: _Family | None = None,
    pod_cidr: str = "10.244.0.0/16",
    mode: str | None = None,
    service: str | None = None,
    packet: str | None = None,
    backend: str | None = None,
    cache: str | None = None,
    option: Choices = (),
    output: Output = "table",
    max_input: str = "2Gi",
    quiet: Quiet = False,
) -> None:
    """Tell who reaches whom under NetworkPolicies on a port, and why not.

    A connection needs the egress of its source and the ingress of its destination. Of one source and one destination
    all is told: which policies isolate, which rule allows or comes nearest, and what a packet passes. Of few pairs each
    is told, of many, counts by namespaces.

    Parameters
    ----------
    filename
        File or folder of Kubernetes objects, JSON or YAML, as of ``kubectl get -o json``; ``-`` is standard input. May
        be given several times.
    from_
        Sources: a pod (NAME or NAMESPACE/NAME), an address, or a label selector (app=web); all pods without it.
    to
        Destinations, in the same words.
    port
        Port of the destination: 80, 80/TCP, or its name there (http, dns/UDP).
    namespace
        Namespace of the pods that are named or selected. Without --from and --to: only pairs that it has a part in.
    family
        IP family of the connections; without it that of an address that is named, else IPv4 where there is one.
    pod_cidr
        Where pods that state no address are given one, for ipBlock.
    mode
        Mode of kube-proxy. Of one source and one destination its part in a packet's way is told too, by the Services of
        the input.
    service
        Service that the packet is sent to (NAMESPACE/NAME), and that led to the destination; with --mode. The first
        one that leads there without it.
    packet
        First packet to the Service (hit), to its node port (node-port), of a client with session affinity
        (affinity-new, affinity-stuck), or to the destination's own address (other); with --mode. Without it hit or
        affinity-new, as the Service has it, or other where no Service leads there.
    backend
        Of the mode iptables: legacy or nft.
    cache
        What a rule or an entry costs: typical, warm or cold.
    option
        Another option of the mode, as NAME=CHOICE. May be given several times.
    output
        Form of the output.
    max_input
        Most bytes of a file, unpacked.
    quiet
        No progress and no notes on standard error.
    """
    from kscale.reaching import Reaching, question_of

    proxy = _proxy(mode, {"--service": service, "--packet": packet, "--backend": backend, "--cache": cache}, option)
    cluster, dump = _read(filename, pod_cidr, max_input, quiet, services=proxy is not None)
    question = question_of(port, cluster)
    source, destination = _whom(from_, "--from", namespace), _whom(to, "--to", namespace)
    found = Reaching(cluster, question, source, destination, None if family is None else int(family[-1]))
    if not quiet:
        tell_notes([*_notes(cluster, bool(found.calico)), *(f"left out: {what}" for what in found.calico.left_out)])
    if source is not None and destination is not None and len(found.sources) == len(found.destinations) == 1:
        translation = None
        if dump is not None and proxy is not None and found.connected():
            translation = found.translated(dump, *proxy, packet, service)
        _one(found, output, translation)
    elif proxy is not None:
        raise InputError("is of one packet", field="--mode", expected="one source and one destination, --from and --to")
    elif found.pairs <= (_FEW if source is destination else _MANY) and (source or destination or not namespace):
        _pairs(found, output)
    else:
        _namespaces(found, output, namespace if source is destination else None)


def rules(
    *,
    filename: Objects,
    output: Output = "table",
    max_input: str = "2Gi",
    quiet: Quiet = False,
) -> None:
    """Tell what chains, rules and IP sets policies put on each node, in the form of Calico's iptables mode.

    A node carries a policy where it selects one of its pods. ``longest`` is the most rules that a connection's first
    packet to or from one of its pods can pass; later packets pass conntrack alone. docs/network-policy.md has the
    numbers that this rests on and their sources.

    Parameters
    ----------
    filename
        File or folder of Kubernetes objects, JSON or YAML, as of ``kubectl get -o json``; ``-`` is standard input. May
        be given several times.
    output
        Form of the output.
    max_input
        Most bytes of a file, unpacked.
    quiet
        No progress and no notes on standard error.
    """
    from dataclasses import fields

    import polars as pl

    from kscale.reaching import POD_CIDR, Question, Reaching

    cluster, _ = _read(filename, POD_CIDR, max_input, quiet)
    found = Reaching(cluster, Question())
    if not quiet:
        tell_notes(_notes(cluster))
    carried = found.carried()
    columns = {field.name: getattr(carried, field.name) for field in fields(carried)}
    _show("nodes", pl.DataFrame({"node": pl.Series(found.ends.nodes, dtype=pl.String), **columns}), output)


def _proxy(
    mode: str | None, given: dict[str, str | None], others: tuple[str, ...]
) -> tuple[Mode, dict[str, str]] | None:
    """Return the mode of kube-proxy that is asked for, with its options. Raises InputError."""
    if mode is None:
        stray = next((name for name, value in (given | {"--option": " ".join(others) or None}).items() if value), None)
        if stray is not None:
            raise InputError("is about kube-proxy", field=stray, expected="--mode as well")
        return None
    chosen = modes_named((mode,))[0]
    return chosen, chosen.chosen(options_given(given["--backend"], given["--cache"], others))


def _read(
    paths: tuple[str, ...], pod_cidr: str, max_input: str, quiet: bool, *, services: bool = False
) -> tuple[Cluster, Dump | None]:
    """Return a cluster, and with ``services`` what kube-proxy sees of it."""
    from kscale.cli.progress import Reporter
    from kscale.cli.replay import parsed
    from kscale.reaching import read, read_both
    from kscale.state.manifests import ReadOptions
    from kscale.state.quantities import parse_quantity

    options = ReadOptions(parsed("--max-input", parse_quantity, max_input) or 0)
    with Reporter(quiet=quiet) as reporter:
        reporter.stage(f"reading {', '.join(paths)[:200]}")
        return read_both(paths, options, pod_cidr) if services else (read(paths, options, pod_cidr), None)


def _whom(text: str | None, option: str, namespace: str | None) -> Whom | None:
    """Return whom an option names: an address, a label selector or a pod. Raises InputError."""
    from kscale.cli.selector import parse_selector
    from kscale.reaching import Whom

    if text is None:
        return None
    try:
        return Whom(option, address=ipaddress.ip_address(text))
    except ValueError:
        pass
    if any(mark in text for mark in "=!() ,"):
        try:
            return Whom(option, namespace=namespace, selector=parse_selector(text))
        except InputError as error:
            raise InputError(error.problem, field=option, expected=error.expected) from None
    stated, _, name = text.rpartition("/")
    if not name:
        raise InputError("names no pod", field=option, expected="NAMESPACE/NAME, an address, or a label selector")
    if stated and namespace not in (None, stated):
        raise InputError(f"'{text[:200]}' is not in the namespace {namespace}", field=option, expected="one namespace")
    return Whom(option, namespace=stated or namespace, name=name)


def _notes(cluster: Cluster, calico: bool = False) -> list[str]:
    """Return what was filled in, left out or assumed, a sentence each; ``calico``: its policies are looked at."""
    hosts = sum(pod.host for pod in cluster.pods)
    ignored = {kind: count for kind, count in cluster.ignored.items() if not (calico and "projectcalico" in kind)}
    notes = [f"{count:,} {kind} are not looked at: only NetworkPolicy is" for kind, count in ignored.items()]
    if calico:
        notes.append("Calico's policies decide with NetworkPolicies, in its tiers")
    elif not cluster.policies:
        notes.append("there are no NetworkPolicies: all pods reach each other")
    if cluster.ended:
        notes.append(f"{cluster.ended:,} pods have ended, and are left out")
    if cluster.unnumbered:
        notes.append(f"{len(cluster.unnumbered):,} pods have no address yet, and are given one of --pod-cidr")
    if hosts:
        notes.append(f"{hosts:,} pods are on their node's network: no policy isolates them, no selector sees them")
    return notes


def _head(found: Reaching) -> str:
    return f"on port {found.question} over IPv{found.version}"


def _one(found: Reaching, form: Form, translation: Translation | None) -> None:
    reason = found.reasons()[0]
    path = found.path(translation)
    if form in ("csv", "markdown"):
        _pairs(found, form)
        return
    if form in ("json", "yaml"):
        sides = {side.direction.lower(): _side(side) for side in reason.sides}
        data = {
            "from": reason.source, "to": reason.destination, "port": str(found.question),
            "family": f"IPv{found.version}", "reaches": reason.reached, "why": reason.text,
            "egress": sides.get("egress"), "ingress": sides.get("ingress"), "packet": list(path),
        }  # fmt: skip
        if translation is not None:
            data["proxy"] = {
                "mode": translation.mode, "packet": translation.packet, "service": translation.service or None,
                "mean_us": round(translation.mean_us, 3), "proxy_us": round(translation.proxy_us, 3),
            }  # fmt: skip
        if form == "json":
            sys.stdout.write(json.dumps(data, indent=2) + "\n")
        else:
            from kscale.cli.yamls import yaml_text

            sys.stdout.write(yaml_text(data))
        return
    verdict = "reaches" if reason.reached else "does not reach"
    tell(f"{reason.source} {verdict} {reason.destination} {_head(found)}", style="bold")
    if not reason.sides:
        tell(f"  {reason.text}")
    for side in reason.sides:
        tell(f"  {side.direction.lower()} of {side.end}: {'passes' if side.passes else 'is blocked'}")
        tell(f"    isolated by: {', '.join(side.isolated_by) or 'no policy'}")
        if side.isolated_by:
            tell(f"    allowed by: {', '.join(side.allowed_by) or 'no rule'}")
        if side.denied_by:
            tell(f"    denied by: {side.denied_by}")
        if side.nearest:
            tell(f"    nearest: {side.nearest}")
    if path:
        tell("  a packet, in order:")
    for number, step in enumerate(path, 1):
        tell(f"    {number}. {step}")
    if path and translation is not None:
        sent = translation.service or "its own address"
        tell(
            f"  kube-proxy {translation.mode}, a packet ({translation.packet}) to {sent}: {translation.mean_us:.2f} us "
            f"through the node on average, {translation.proxy_us:.2f} us of it kube-proxy's"
        )


def _side(side: Side) -> dict[str, Any]:
    denied = {"denied_by": side.denied_by} if side.denied_by else {}
    return {
        "passes": side.passes, "isolated_by": list(side.isolated_by), "allowed_by": list(side.allowed_by),
        "nearest": side.nearest or None, **denied,
    }  # fmt: skip


def _pairs(found: Reaching, form: Form) -> None:
    import polars as pl

    reasons = found.reasons()
    if form in ("table", "wide"):
        reached = sum(reason.reached for reason in reasons)
        tell(f"{reached:,} of {len(reasons):,} pairs reach each other {_head(found)}", style="bold")
    schema = {"from": pl.String, "to": pl.String, "reaches": pl.String, "why": pl.String}
    rows = [(one.source, one.destination, "yes" if one.reached else "no", one.text) for one in reasons]
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    if form in ("json", "yaml"):
        frame = frame.with_columns(pl.col("reaches") == "yes")
    _show("pairs", frame, form)


def _namespaces(found: Reaching, form: Form, namespace: str | None) -> None:
    import polars as pl

    rows = [row for row in found.by_namespace() if namespace is None or namespace in row[:2]]
    if namespace is not None and namespace not in found.ends.namespaces:
        raise InputError(f"there are no pods in '{namespace[:200]}'", field="--namespace", expected="a namespace")
    if form in ("table", "wide"):
        reached, pairs = sum(row[2] for row in rows), sum(row[3] for row in rows)
        tell(f"{reached:,} of {pairs:,} pairs reach each other {_head(found)}", style="bold")
    schema = {"from": pl.String, "to": pl.String, "reach": pl.Int64, "pairs": pl.Int64}
    _show("namespaces", pl.DataFrame(rows, schema=schema, orient="row"), form)


def _show(title: str, frame: Any, form: Form) -> None:
    """Print a table; one for the terminal tells its first rows."""
    from kscale.cli.tables import show

    left = frame.height - _MOST if form == "table" else 0
    show({title: frame.head(_MOST) if left > 0 else frame}, form)
    if left > 0:
        tell(f"({left:,} more row{'' if left == 1 else 's'} with -o wide)", style="dim")
