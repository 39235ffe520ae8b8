"""Runs programs that load rules: their CPU time and memory, never longer than allowed, never longer than this one."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from kscale.network.measuring.namespaces import die_with

#: Seconds between looks at a program that runs: the first, and the longest.
_SHORT, _LONG = 0.0002, 0.01
_MOST_WORDS = 200


class Failed(Exception):
    """A program that could not be run, ended with an error, or took too long; the text says which, in one line."""


class TooLong(Failed):
    """One that took longer than there was time."""


@dataclass(frozen=True)
class Done:
    """What a run of a program took.

    Attributes:
        cpu_s: user and system time, in seconds.
        wall_s: from start to end.
        peak_bytes: most memory resident; 0 where it is not known, as it is not above that of this process.
    """

    cpu_s: float
    wall_s: float
    peak_bytes: int


def run(words: Sequence[str], text: str = "", seconds: float = 60.0) -> Done:
    """Run a program with ``text`` on its standard input. Raises Failed."""
    here, own = os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with os.fdopen(os.memfd_create("rules"), "w+b") as rules, os.fdopen(os.memfd_create("told"), "w+b") as told:
        rules.write(text.encode())
        rules.seek(0)
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                list(words), stdin=rules, stdout=subprocess.DEVNULL, stderr=told,
                preexec_fn=lambda: die_with(here),
            )  # fmt: skip
        except OSError as error:
            raise Failed(f"{words[0]}: {error.strerror}") from error
        status, used = _wait(process, began + max(seconds, 0.0))
        wall = time.monotonic() - began
        if status is None:
            raise TooLong(f"{words[0]} took more than {seconds:.0f} s")
        if os.waitstatus_to_exitcode(status) != 0:
            told.seek(0)
            lines = [line for line in told.read().decode(errors="replace").splitlines() if line.strip()]
            raise Failed(f"{words[0]}: {lines[0][:_MOST_WORDS] if lines else 'failed'}")
    peak = used.ru_maxrss * 1024 if used.ru_maxrss > own else 0
    return Done(used.ru_utime + used.ru_stime, wall, peak)


def _wait(process: subprocess.Popen[bytes], until: float) -> tuple[int | None, resource.struct_rusage]:
    """Return status and use of a process; no status where it had to be killed."""
    pause = _SHORT
    while True:
        found, status, used = os.wait4(process.pid, os.WNOHANG)
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
            return status, used
        if time.monotonic() >= until:
            process.kill()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            return None, used
        time.sleep(pause)
        pause = min(2 * pause, _LONG)
