"""Starts the child process that measures, collects its rows, and ends it whatever happens."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kscale.errors import InputError, MachineError
from kscale.network.measuring import backends
from kscale.network.measuring.backends import Backend

#: Columns of the table, in order.
COLUMNS = ("kind", "what", "backend", "services", "endpoints", "position", "cache", "value", "unit", "samples")
MODES = ("iptables", "nftables", "ipvs")
#: The most that is measured: Services of a case, endpoints in all of one, seconds, cases.
MOST_SERVICES, MOST_ENDPOINTS, MOST_SECONDS, MOST_CASES = 30_000, 300_000, 3_600, 100
#: Seconds that the child has beyond its time before it is ended.
_GRACE = 15.0
_ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Found:
    """What was measured.

    Attributes:
        rows: of the table, by column.
        late: cases that there was no time for.
        failed: backends that could not be measured, and why.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def csv(self) -> str:
        """Return the table as CSV."""
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()


def able(mode: str) -> tuple[list[Backend], str]:
    """Return the backends of a mode that this machine has programs and a kernel for, and what is missing otherwise."""
    found, missing = [], ""
    for backend in backends.found().values():
        if backend.mode != mode:
            continue
        absent = [program for program in backend.programs if shutil.which(program) is None]
        if absent:
            missing = missing or f"there is no program '{absent[0]}'"
        elif backend.needs and not Path(backend.needs).exists():
            missing = missing or f"the kernel has no {mode}: there is no {backend.needs}"
        else:
            found.append(backend)
    return found, missing


def chosen(modes: Sequence[str]) -> list[str]:
    """Return the names of the backends of some modes; of all that can be measured, where none is named.

    Raises InputError where this machine cannot measure one that is named, or none at all.
    """
    if not sys.platform.startswith("linux"):
        raise InputError("cannot be measured here", expected="Linux")
    if os.geteuid() != 0:
        raise InputError("cannot be measured by this user", expected="root, who may make network namespaces")
    if shutil.which("ip") is None:
        raise InputError("there is no program 'ip'", expected="iproute2, to join network namespaces")
    names, first = [], ""
    for mode in modes or MODES:
        found, missing = able(mode)
        if not found and modes:
            raise InputError(missing, field="--mode", expected=f"what {mode} needs, or another mode")
        first = first or missing
        names += [backend.name for backend in found]
    if not names:
        raise InputError(first, expected="nft, iptables or ipvsadm, and a kernel that has them")
    return names


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Let SIGTERM interrupt as Ctrl-C does, so that the child is ended; outside the main thread as it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def measure(
    names: Sequence[str],
    services: Sequence[int],
    endpoints: Sequence[int],
    seconds: float,
    begun: Callable[[str], None] = lambda what: None,
) -> Found:
    """Measure backends, each with all numbers of Services and endpoints, for so many seconds at most.

    ``begun`` is told each case as it begins. Raises MachineError where the process ends early.
    """
    plan = {"backends": list(names), "services": list(services), "endpoints": list(endpoints), "seconds": seconds}
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    words = [sys.executable, "-P", "-m", "kscale.network.measuring.worker", str(os.getpid()), json.dumps(plan)]
    found = Found()
    with _ended_by_signal():
        # In a process group of its own: Ctrl-C reaches this process, which ends the child and what that started.
        child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        too_long = threading.Timer(seconds + _GRACE, child.kill)
        too_long.start()
        try:
            assert child.stdout is not None and child.stderr is not None
            for line in child.stdout:
                _take(json.loads(line), found, begun)
            told = child.stderr.read().strip().splitlines()
            if child.wait() != 0:
                raise MachineError(f"the process that measures ended early: {told[-1] if told else 'it was killed'}")
        finally:
            too_long.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
    return found


def _take(told: dict[str, Any], found: Found, begun: Callable[[str], None]) -> None:
    if "row" in told:
        found.rows.append(told["row"])
    elif "begun" in told:
        begun(told["begun"])
    elif "late" in told:
        found.late.append(told["late"])
    else:
        found.failed[told["failed"]] = told["why"]
