"""``kscale proxy advise``: which mode of kube-proxy suits your Services, and from how many on another one does."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kscale.cli.options import Objects, Output, Quiet, Whole
from kscale.cli.proxy import Choices, Modes, modes_named, options_given, rate_given
from kscale.cli.terminal import tell
from kscale.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from kscale.advising import Advice, Read, Wish
    from kscale.network.advice import Verdict
    from kscale.network.proxies import Platform
    from kscale.network.versions import Version

_MOST_CPUS, _MOST_GROWTH, _MOST_NEXT = 4_096, 1_000, 100_000
#: Columns of a mode's numbers: the name for programs, that for people, and how much of the unit one of these is.
#: First packets; CPU; writing one change, and everything; from a pod that is ready to the node's rules; memory.
_NUMBERS = (
    ("first_us_p50", "p50 us", 1.0),
    ("first_us_p99", "p99 us", 1.0),
    ("cores", "cores", 1.0),
    ("change_s", "change s", 1.0),
    ("full_s", "full s", 1.0),
    ("reaction_s", "after s", 1.0),
    ("bytes", "MiB", 2.0**20),
)


def advise(
    *,
    filename: Annotated[Objects, Parameter(show_default=False)] = (),
    services: Whole | None = None,
    endpoints: Whole = 10,
    connections_rate: float = 1_000,
    packets_rate: float = 10_000,
    changes_rate: float | None = None,
    kernel: str | None = None,
    kubernetes: str | None = None,
    growth: float = 1.0,
    next_: Whole = 1_000,
    need_scheduler: str = "",
    mode: Modes = (),
    backend: str | None = None,
    cache: str | None = None,
    option: Choices = (),
    connections: Whole = 0,
    cpus: Whole = 4,
    parameters: Path | None = None,
    out: Path | None = None,
    output: Output = "table",
    max_input: str = "2Gi",
    quiet: Quiet = False,
) -> None:
    """Tell which mode of kube-proxy suits your Services, with its numbers, and at how many another one suits better.

    Services come from a dump (Services, EndpointSlices, pods, nodes), from manifests, or from a trace, each of whose
    owners is taken for a Service; or they are counted with --services. Rules decide: -o wide prints them, and
    --parameters changes their limits. docs/proxies.md says where each number is from.

    Parameters
    ----------
    filename
        File or folder of Kubernetes objects, JSON or YAML; ``-`` is standard input; may be given several times. Or one
        trace.
    services
        So many Services of one port, instead of -f.
    endpoints
        Ready endpoints of each, with --services.
    connections_rate
        New connections to Services, per second at a node.
    packets_rate
        Later packets, per second at a node.
    changes_rate
        Changes of Services and endpoints in the cluster as it is, per second. Without it: as in the trace, or two a day
        for each endpoint.
    kernel
        Version of the nodes' Linux kernel; without it the oldest of the dump's nodes, else 6.8.
    kubernetes
        Version of Kubernetes; without it the oldest of the dump's nodes, else 1.34.
    growth
        The Services become so many times as many: the advice is for then.
    next_
        How many Services more the table of differences is about.
    need_scheduler
        An algorithm that the mode must have: rr, lc, sh, random, …
    mode
        Mode that is looked at; may be given several times; all without it.
    backend
        Of iptables: legacy or nft; legacy without it.
    cache
        What a rule or an entry costs: typical, warm or cold.
    option
        Another option of a mode, as NAME=CHOICE: table=resizable, list=none, kernel=new. May be given several times.
    connections
        Entries of the connection table.
    cpus
        Processors of a node.
    parameters
        JSON or YAML file with other numbers for the model, and other limits; --out writes one with all of them.
    out
        Folder for the advice (JSON), the table by number of Services, the parameters and figures.
    output
        Form of the output.
    max_input
        Most bytes of a file, unpacked.
    quiet
        No notes on standard error.
    """
    from kscale import advising
    from kscale.cli.replay import parsed
    from kscale.network import advice
    from kscale.network import parameters as numbers
    from kscale.network.versions import kernel_version, kubernetes_version
    from kscale.state.quantities import parse_quantity

    limit = parsed("--max-input", parse_quantity, max_input) or 0
    _within("--growth", growth, 0.001, _MOST_GROWTH)
    _within("--next", next_, 1, _MOST_NEXT)
    _within("--cpus", cpus, 1, _MOST_CPUS)
    stated_kernel = None if kernel is None else kernel_version(kernel, "--kernel")
    stated = None if kubernetes is None else kubernetes_version(kubernetes, "--kubernetes")
    for field, value in (("connections", connections_rate), ("packets", packets_rate), ("changes", changes_rate)):
        rate_given(value or 0.0, f"--{field}-rate")
    modes, options = tuple(modes_named(mode)), options_given(backend, cache, option)
    known = advice.known() if parameters is None else numbers.read(parameters, advice.known())
    found = _read(filename, services, endpoints, limit)
    platform, found = _platform(found, stated, stated_kernel)
    wish = advising.Wish(
        advice.Asked(platform, need_scheduler), modes, options, connections_rate, packets_rate,
        found.changes if changes_rate is None else changes_rate, growth, known, cpus, connections,
    )  # fmt: skip
    made = advising.advise(found.shape, wish)
    if out is not None:
        from kscale.cli import proxy_figures

        text = json.dumps(_data(made, found, wish, next_), indent=2) + "\n"
        frame = advising.by_size(found.shape, wish)
        proxy_figures.write(out, frame, numbers.text(known), advice=text, now=made.services[0])
    if not quiet:
        for note in [*found.notes, *advising.warnings(made, wish)]:
            tell(f"note: {note}", stderr=True)
    _show(made, found, wish, next_, output)


def _within(field: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InputError(f"is {value:,}", field=field, expected=f"{least:,} to {most:,}")


def _read(filename: tuple[str, ...], services: int | None, endpoints: int, limit: int) -> Read:
    from kscale import advising
    from kscale.network.curve import MOST_ENDPOINTS, MOST_SERVICES

    if (services is None) == (not filename):
        raise InputError("is stated with -f" if filename else "is missing, and -f too", field="--services",
                         expected="a file of objects or a trace, or a number of Services")  # fmt: skip
    if services is None:
        return advising.read(filename, limit)
    _within("--services", services, 1, MOST_SERVICES)
    _within("--endpoints", endpoints, 1, MOST_ENDPOINTS)
    return advising.of_counts(services, endpoints)


def _platform(found: Read, kubernetes: Version | None, kernel: Version | None) -> tuple[Platform, Read]:
    """Return the versions that are stated, else the input's, else usual ones, and a note of those in what was read."""
    from kscale.network.proxies import Platform
    from kscale.network.versions import written

    usual = Platform()
    kubernetes, kernel = kubernetes or found.kubernetes, kernel or found.kernel
    assumed = [
        *([f"Kubernetes {written(usual.kubernetes)} (--kubernetes)"] if kubernetes is None else []),
        *([f"a kernel of {written(usual.kernel)} (--kernel)"] if kernel is None else []),
    ]
    notes = (*found.notes, f"assumed: {', '.join(assumed)}") if assumed else found.notes
    return Platform(kubernetes or usual.kubernetes, kernel or usual.kernel), replace(found, notes=notes)


def _show(made: Advice, found: Read, wish: Wish, more: int, form: Output) -> None:
    from kscale.cli.tables import show

    if form in ("json", "yaml"):
        data = _data(made, found, wish, more)
        if form == "json":
            sys.stdout.write(json.dumps(data, indent=2) + "\n")
        else:
            from kscale.cli.yamls import yaml_text

            sys.stdout.write(yaml_text(data))
        return
    tables = _tables(made, found, wish, more, people=form in ("table", "wide"))
    if form == "csv":
        tables = {"modes": tables["modes"]}
    elif form != "wide":
        del tables["rules"]
    if form in ("table", "wide"):
        ports = found.shape.ports
        of = f"{_so_many(made.services[0], 'Service')} ({_so_many(len(ports), 'port')}, " + (
            f"{round(float(ports.endpoints.mean()), 1):,g} endpoints each)"
        )
        grown = f" that become {made.services[1]:,}" if made.services[1] != made.services[0] else ""
        tell(f"{made.mode}, for {of}{grown}", style="bold")
        tell(f"{made.why}{f'; as it is, {made.mode_now} suits' if made.mode_now != made.mode else ''}")
        tell("")
    show(tables, form)


def _so_many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _tables(made: Advice, found: Read, wish: Wish, more: int, *, people: bool) -> dict[str, pl.DataFrame]:
    """Return what is told, by title; for people in units that they read."""
    import polars as pl

    from kscale import advising
    from kscale.network.advice import RULES

    left = [place for place, one in enumerate(made.grown) if not one.refused]
    then = advising.verdicts(found.shape, wish, made.services[1] + more)
    values = {
        one.variant: (_values(one, people), _values(other, people)) for one, other in zip(made.grown, then, strict=True)
    }
    kept = [made.grown[place].variant for place in left]
    columns = [name if not people else told for name, told, _ in _NUMBERS]
    modes = [[name, *values[name][0]] for name in kept]
    more_of = [
        [name, *(None if a is None or b is None else b - a for a, b in zip(*values[name], strict=True))]
        for name in kept
    ]
    limits = [
        [one.variant, *(None if one.refused else times for times in one.over.values()), one.word] for one in made.grown
    ]
    return {
        "modes": pl.DataFrame(modes, ["mode", *columns], orient="row"),
        f"the next {more:,} Services cost": pl.DataFrame(more_of, ["mode", *columns], orient="row"),
        "shares of the limits": pl.DataFrame(
            limits, ["mode", *made.grown[0].over, "verdict"], orient="row", infer_schema_length=None
        ),
        "by number of Services": pl.DataFrame(
            [(one.first, one.last, one.mode, "yes" if one.holds else "no") for one in made.ranges],
            ["from", "to", "mode", "holds all limits"], orient="row",
        ),
        "calendar": pl.DataFrame(advising.calendar(wish)),
        "rules": pl.DataFrame(
            [(one.kind, one.name, one.says, _limit(wish, one.limit), one.reason) for one in RULES],
            ["kind", "rule", "says", "limit", "reason"], orient="row",
        ),
    }  # fmt: skip


def _limit(wish: Wish, name: str) -> str:
    if not name:
        return "-"
    row = wish.numbers.row(name)
    return f"{row.value:g}{'' if row.unit == '1' else ' ' + row.unit} ({row.kind})"


def _values(one: Verdict, people: bool) -> list[float | None]:
    """Return a mode's numbers; None where no Service has an endpoint, and so no packet goes to any."""
    row = {**one.numbers, "bytes": one.numbers["kernel_bytes"] + one.numbers["kube_proxy_bytes"]}
    sizes = [(row[name], size if people else 1.0) for name, _, size in _NUMBERS]
    return [None if value is None else float(value) / size for value, size in sizes]


def _data(made: Advice, found: Read, wish: Wish, more: int) -> dict[str, Any]:
    """Return all of it as plain data."""
    from kscale import advising
    from kscale.network.advice import RULES
    from kscale.network.versions import written

    tables = _tables(made, found, wish, more, people=False)
    numbers = {row.pop("mode"): row for row in tables["modes"].to_dicts()}
    modes = [
        {"mode": one.mode.name, "variant": one.variant, "refused": one.refused or None, "over": one.broken,
         "shares": dict(one.over), **numbers.get(one.variant, {})}
        for one in made.grown
    ]  # fmt: skip
    return {
        "mode": made.mode, "why": made.why, "mode_now": made.mode_now, "mode_on_newer_kernel": made.mode_on_newer,
        "services": made.services[0], "services_grown": made.services[1], "ports": len(found.shape.ports),
        "endpoints": int(found.shape.ports.endpoints.sum()),
        "kubernetes": written(wish.asked.platform.kubernetes), "kernel": written(wish.asked.platform.kernel),
        "rates": vars(advising.rates_of(found.shape, wish, made.services[1])),
        "modes": modes, "next": {"services": more, "modes": tables[f"the next {more:,} Services cost"].to_dicts()},
        "ranges": [vars(one) for one in made.ranges], "calendar": tables["calendar"].to_dicts(),
        "rules": [
            {"rule": one.name, "kind": one.kind, "says": one.says, "reason": one.reason,
             "limit": wish.numbers[one.limit] if one.limit else None, "parameter": one.limit or None}
            for one in RULES
        ],
        "notes": [*found.notes, *advising.warnings(made, wish)],
    }  # fmt: skip
