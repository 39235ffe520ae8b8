"""``kscale proxy measure``: what kube-proxy's rules cost this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kscale.cli.options import Quiet
from kscale.cli.proxy import _numbers
from kscale.cli.terminal import tell
from kscale.errors import InputError, nearest

if TYPE_CHECKING:
    from kscale.network.measuring.run import Found

#: Least number of Services: one for connections, one for datagrams.
_LEAST = 2


def measure(
    *,
    out: Annotated[Path, Parameter(name="--out")],
    services: str = "10,100,1000",
    endpoints: str = "1",
    mode: str | None = None,
    seconds: float = 60.0,
    quiet: Quiet = False,
) -> None:
    """Measure what kube-proxy's rules cost this machine: packets, syncs, memory. Linux, as root.

    Three network namespaces are made, client, gateway and server; the gateway gets rules of the shape that kube-proxy
    writes, and packets go from client to server. Nothing outside these is touched, and all is gone at the end, however
    the command ends. ``kscale proxy fit`` takes the table.

    Parameters
    ----------
    out
        CSV file for the table.
    services
        Numbers of service ports, with commas.
    endpoints
        Ready endpoints of each service port; several with commas are measured one after the other.
    mode
        iptables, nftables, ipvs, with commas; without it, all that the machine has programs and a kernel for.
    seconds
        Most time in all; the cases share it.
    quiet
        No progress and no notes on standard error.
    """
    from kscale.cli.files import write
    from kscale.network.measuring import run

    counts, each, modes = _numbers(services, "--services"), _numbers(endpoints, "--endpoints"), _modes(mode, run.MODES)
    if counts[0] < _LEAST or counts[-1] > run.MOST_SERVICES:
        expected = f"{_LEAST} to {run.MOST_SERVICES:,}"
        raise InputError(f"are {counts[0]:,} to {counts[-1]:,}", field="--services", expected=expected)
    if each[0] < 1 or each[-1] * counts[-1] > run.MOST_ENDPOINTS:
        raise InputError(
            f"are {each[-1] * counts[-1]:,} in all", field="--endpoints",
            expected=f"1 or more each, {run.MOST_ENDPOINTS:,} in all at most",
        )  # fmt: skip
    if not 1 <= seconds <= run.MOST_SECONDS:
        raise InputError(f"is {seconds:g}", field="--seconds", expected=f"1 to {run.MOST_SECONDS:,}")
    if not out.parent.is_dir() or out.is_dir():
        raise InputError("cannot be a file", file=out, field="--out", expected="a name in a folder that is there")
    names = run.chosen(modes)
    if len(names) * len(counts) * len(each) > run.MOST_CASES:
        raise InputError("are too many cases", field="--services", expected=f"{run.MOST_CASES} at most")
    found = run.measure(names, counts, each, seconds, lambda what: None if quiet else tell(what, stderr=True))
    _told(found, names if modes else [], quiet=quiet)
    write(out, found.csv())
    tell(f"{len(found.rows):,} figures in {out}")


def _modes(text: str | None, known: tuple[str, ...]) -> list[str]:
    names = [] if text is None else [word.strip() for word in text.split(",")]
    for name in names:
        if name not in known:
            problem = f"there is no '{name}'{nearest(name, known)}"
            raise InputError(problem, field="--mode", expected=f"some of {', '.join(known)}")
    return list(dict.fromkeys(names))


def _told(found: Found, asked: list[str], *, quiet: bool) -> None:
    """Tell what was left out. Raises InputError where something was asked for by name, or nothing is left."""
    measured = {row["backend"] for row in found.rows}
    for name, why in found.failed.items():
        if name in asked or not measured:
            raise InputError(f"{name} cannot be measured here: {why}")
        if not quiet:
            tell(f"note: {name} is left out: {why}", stderr=True)
    if found.late and not measured:
        raise InputError("are too few to measure anything", field="--seconds", expected="more")
    for what in found.late:
        if not quiet:
            tell(f"note: {what}: there was no time", stderr=True)
