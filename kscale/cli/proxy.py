"""``kscale proxy``: what kube-proxy's modes write into a node, and what that costs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kscale.cli.options import Flag, Output, Quiet, Whole
from kscale.cli.terminal import tell
from kscale.errors import InputError, nearest

if TYPE_CHECKING:
    import polars as pl

    from kscale.network.proxies import Mode

Modes = Annotated[tuple[str, ...], Parameter(name="--mode", negative="", show_default=False)]
Choices = Annotated[tuple[str, ...], Parameter(name="--option", negative="", show_default=False)]
#: Points of a table in a terminal without -o wide.
_FEW = 7
#: Most points of a curve: Services times endpoints.
_MOST_POINTS = 2_000
_MOST_CPUS = 4_096
#: Tables for people: the column of the curve that each shows, and its title.
_TABLES = {
    "first_us_p50": "first packet to a Service, median, us",
    "first_us_p99": "first packet to a Service, 99 of 100 within, us",
    "change_sync_s": "writing one change, CPU s",
    "full_sync_s": "writing everything, CPU s",
    "cores": "CPU of a node, cores",
    "kernel_mib": "memory in the kernel, MiB",
}


def curve(
    *,
    services: str = "10:100000",
    points: Whole = 20,
    endpoints: str = "10",
    mode: Modes = (),
    backend: str | None = None,
    cache: str | None = None,
    option: Choices = (),
    connections_rate: float = 1_000,
    packets_rate: float = 10_000,
    changes_rate: float = 1.0,
    connections: Whole = 0,
    cpus: Whole = 4,
    node_ports: Flag = False,
    affinity: Flag = False,
    parameters: Path | None = None,
    out: Path | None = None,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Tell what kube-proxy costs by the number of Services: packets, syncs, CPU and memory, mode by mode.

    A first packet's time is a distribution: a Service stands anywhere in the list, and any endpoint may be chosen.
    Times are of one way through a node. docs/proxies.md says where each number is from; nothing of IPVS was measured
    in a kernel.

    Parameters
    ----------
    services
        Service ports: LEAST:MOST, or numbers with commas.
    points
        Numbers of Services between LEAST and MOST, evenly on a log scale.
    endpoints
        Ready endpoints of each service port; several numbers with commas give as many curves.
    mode
        Mode of kube-proxy; may be given several times; all without it.
    backend
        Of iptables: legacy or nft; both without it.
    cache
        What a rule or an entry costs: typical, warm or cold; several without it.
    option
        Another option of a mode, as NAME=CHOICE: table=resizable, scheduler=lc, list=table, kernel=old. May be given
        several times.
    connections_rate
        New connections to Services, per second.
    packets_rate
        Later packets, per second.
    changes_rate
        Changes of Services and endpoints in the cluster, per second.
    connections
        Entries of the connection table.
    cpus
        Processors of the node: they bound the connection table, and each has counters of its own for every rule.
    node_ports
        Every service port is open on the node.
    affinity
        Every Service has session affinity.
    parameters
        JSON or YAML file with other numbers for the model; --out writes one with all of them.
    out
        Folder for the table (CSV, Parquet), the parameters and the figures.
    output
        Form of the output.
    quiet
        No notes on standard error.
    """
    from kscale.network import curve as curves
    from kscale.network import parameters as numbers
    from kscale.network import proxies

    modes = modes_named(mode)
    counts, each = _services(services, points), _numbers(endpoints, "--endpoints")
    if len(counts) * len(each) > _MOST_POINTS:
        raise InputError(f"are {len(counts) * len(each):,} points", expected=f"{_MOST_POINTS:,} at most")
    known = numbers.read(parameters, proxies.parameters()) if parameters is not None else proxies.parameters()
    rates = curves.Rates(
        rate_given(connections_rate, "--connections-rate"), rate_given(packets_rate, "--packets-rate"),
        rate_given(changes_rate, "--changes-rate"),
    )  # fmt: skip
    if not 1 <= cpus <= _MOST_CPUS:
        raise InputError(f"is {cpus:,}", field="--cpus", expected=f"1 to {_MOST_CPUS:,}")
    frame = curves.curve(
        counts, each, modes, options_given(backend, cache, option), rates, known,
        {"node_port": node_ports, "affinity": affinity}, connections=connections, cpus=cpus,
    )  # fmt: skip
    if out is not None:
        from kscale.cli import proxy_figures

        proxy_figures.write(out, frame, numbers.text(known))
    if not quiet:
        _tell_versions([m for m in modes if m.name in mode])
    _show(frame, output)


def modes_named(names: tuple[str, ...]) -> list[Mode]:
    """Return modes by their names, each once; all without any. Raises InputError."""
    from kscale.network import proxies

    found = proxies.found()
    for name in names:
        if name not in found:
            problem = f"there is no '{name}'{nearest(name, found)}"
            raise InputError(problem, field="--mode", expected=f"one of {', '.join(found)}")
    return [found[name] for name in dict.fromkeys(names)] or list(found.values())


def _services(text: str, points: int) -> list[int]:
    """Return numbers of Services: a range, or a list."""
    from kscale.network import curve as curves

    found = re.fullmatch(r"(\d{1,12}):(\d{1,12})", text)
    if found is not None:
        return curves.points(int(found[1]), int(found[2]), points)
    counts = _numbers(text, "--services")
    curves.points(min(counts), max(counts), 1)
    return counts


def _numbers(text: str, field: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"\d{1,12}", word) for word in words):
        expected = "numbers with commas" + (", or LEAST:MOST" if field == "--services" else "")
        raise InputError(f"cannot be '{text}'", field=field, expected=expected)
    return sorted({int(word) for word in words})


def options_given(backend: str | None, cache: str | None, others: tuple[str, ...]) -> dict[str, str]:
    """Return the choices of ``--backend``, ``--cache`` and ``--option``, by the option's name. Raises InputError."""
    found = {name: choice for name, choice in (("backend", backend), ("cache", cache)) if choice is not None}
    for word in others:
        name, equals, choice = word.partition("=")
        if not equals or not choice:
            raise InputError(f"cannot be '{word}'", field="--option", expected="NAME=CHOICE")
        if name in found:
            raise InputError(f"states {name} twice", field="--option", expected="each option once")
        found[name] = choice
    return found


def rate_given(value: float, field: str) -> float:
    """Return a rate. Raises InputError where it is negative, or no number."""
    if not 0 <= value <= 1e12:
        raise InputError(f"is {value:g}", field=field, expected="0 or more, per second")
    return value


def _tell_versions(modes: list[Mode]) -> None:
    """Say on standard error which of the modes asked for by name are on their way out, or gone."""
    for mode in modes:
        if mode.outlook:
            tell(f"note: {mode.outlook}", stderr=True)


def _show(frame: pl.DataFrame, form: Output) -> None:
    """Print the curve; for people one table for each thing, a row for each variant and a column for each point."""
    import polars as pl

    from kscale.cli.tables import show

    if form not in ("table", "wide"):
        show({"curve": frame}, form)
        return
    counts = frame["services"].unique(maintain_order=True).to_list()
    shown = counts if form == "wide" else [counts[place] for place in _spread(len(counts))]
    several = frame["endpoints"].n_unique() > 1
    frame = frame.with_columns(kernel_mib=pl.col("kernel_bytes") / 2**20)
    tables = {}
    for endpoints in frame["endpoints"].unique(maintain_order=True):
        rows = frame.filter((pl.col("endpoints") == endpoints) & pl.col("services").is_in(shown))
        for column, title in _TABLES.items():
            table = rows.pivot("services", index="variant", values=column)
            # What an option has no part in is the same for all its variants.
            table = table.unique(subset=table.columns[1:], keep="first", maintain_order=True)
            table = table.rename({str(count): f"{count:,}" for count in shown} | {"variant": "Services"})
            of = f"; {endpoints:,} endpoint{'' if endpoints == 1 else 's'} each" if several else ""
            tables[title + of] = table
    show(tables, form)
    if len(shown) < len(counts):
        tell(f"({len(counts) - len(shown)} more points with -o wide; all columns with -o csv)", style="dim")


def _spread(height: int) -> list[int]:
    """Return a few rows, the first and the last among them, evenly."""
    if height <= _FEW:
        return list(range(height))
    return sorted({round(k * (height - 1) / (_FEW - 1)) for k in range(_FEW)})


def path(
    *,
    mode: Annotated[str, Parameter(name="--mode")],
    services: Whole = 1_000,
    endpoints: Whole = 10,
    packet: str = "hit",
    backend: str | None = None,
    cache: str | None = None,
    option: Choices = (),
    connections: Whole = 0,
    parameters: Path | None = None,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Tell what a packet passes in one mode of kube-proxy, step by step, and what the mode has written.

    Counts and times are means; every service port has a node port and session affinity where the packet needs it.

    Parameters
    ----------
    mode
        Mode of kube-proxy.
    services
        Service ports.
    endpoints
        Ready endpoints of each.
    packet
        First packet to a Service (hit), to an address that is none's (other), to a node port (node-port), of a client
        with session affinity (affinity-new, affinity-stuck), or a later packet (later).
    backend
        Of iptables: legacy or nft.
    cache
        What a rule or an entry costs: typical, warm or cold.
    option
        Another option of the mode, as NAME=CHOICE. May be given several times.
    connections
        Entries of the connection table.
    parameters
        JSON or YAML file with other numbers for the model.
    output
        Form of the output.
    quiet
        No notes on standard error.
    """
    import polars as pl

    from kscale.cli.tables import show
    from kscale.network import parameters as numbers
    from kscale.network import proxies
    from kscale.network.curve import MOST_ENDPOINTS, MOST_SERVICES
    from kscale.network.ports import Ports

    chosen = modes_named((mode,))[0]
    packets = (*proxies.PACKETS, "later")
    if packet not in packets:
        problem = f"there is no '{packet}'{nearest(packet, packets)}"
        raise InputError(problem, field="--packet", expected=f"one of {', '.join(packets)}")
    for field, count, most in (("services", services, MOST_SERVICES), ("endpoints", endpoints, MOST_ENDPOINTS)):
        if not 1 <= count <= most:
            raise InputError(f"is {count:,}", field=f"--{field}", expected=f"1 to {most:,}")
    ports = Ports.uniform(
        services, endpoints, node_port=packet == proxies.NODE_PORT, affinity=packet.startswith("affinity")
    )
    known = numbers.read(parameters, proxies.parameters()) if parameters is not None else proxies.parameters()
    case = proxies.case(chosen, ports, options_given(backend, cache, option), known, connections=connections)
    steps = chosen.later(case) if packet == "later" else chosen.first(case, packet)
    assert steps is not None, "every service port has endpoints, and what the packet needs"
    rows = [*steps.listing(), ("in all", "", None, steps.mean_us)]
    passed = pl.DataFrame(rows, schema=["step", "of", "count", "mean us"], orient="row")
    if not quiet:
        _tell_versions([chosen])
    show({f"a packet ({packet}), {case.name}": passed, "written": _written(chosen.structure(case))}, output)


def _written(made: Any) -> pl.DataFrame:
    """Return a structure as a table: what, where, how many."""
    import polars as pl

    rows: list[tuple[str, str, int]] = []
    for what, counts in (
        ("rules", made.rules), ("chains", made.chains), ("rules in a row", made.lists), ("entries", made.elements),
    ):  # fmt: skip
        rows += [(what, place, count) for place, count in counts.items()]
    for name in ("anonymous_maps", "anonymous_elements", "affinity_sets", "addresses", "virtual_servers",
                 "real_servers", "listeners"):  # fmt: skip
        if getattr(made, name):
            rows.append((name.replace("_", " "), "", getattr(made, name)))
    return pl.DataFrame(rows, schema=["what", "where", "count"], orient="row")
