"""The door: runs a command and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys

from kscale import __version__, cli
from kscale.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_MACHINE, KscaleError, one_line

#: How polars tells, in errors of its own, what the operating system refused.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")

#: When the collector looks for cycles. A run keeps what it makes (arrays, figures, compiled code) and makes few cycles:
#: of 508 collections in a cold demo 14 are left, of 2.2 s less than 1.3.
_COLLECTING = (100_000, 20, 50)


def main() -> None:
    """Run the command line and exit with its code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as in ``kscale demo >&-``
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 good, 1 gate, 2 input, 3 internal, 4 machine, 130 interrupted."""
    try:
        # Without the command framework: help answers in the time that the interpreter takes to start.
        if arguments in ([], ["-h"], ["--help"], ["--version"]):
            sys.stdout.write(f"kscale {__version__}\n" if arguments == ["--version"] else cli.overview())
            code = 0
        else:
            gc.set_threshold(*_COLLECTING)
            code = cli.dispatch(arguments)
        sys.stdout.flush()
        return code
    except KscaleError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:  # the reader of our output has gone: no fault
        _forget_output()
        return 0
    except MemoryError:
        return _fail("out of memory", EXIT_MACHINE)
    except OSError as error:
        _forget_output()
        return _fail(f"{error.filename or 'the machine refused'}: {error.strerror or error}", EXIT_MACHINE)
    except SystemExit:
        raise
    except BaseException as error:  # a panic of polars is no Exception
        if _began_as_interruption(error):
            return _interrupted()
        refused = _OS_ERROR.search(str(error))
        if refused:
            return _fail(f"the machine refused: {os.strerror(int(refused[1]))}", EXIT_MACHINE)
        if os.environ.get("KSCALE_DEBUG"):
            raise
        what = f"internal fault: {type(error).__name__}: {error}"
        return _fail(f"{one_line(what, 300)}; KSCALE_DEBUG=1 shows where", EXIT_INTERNAL)


def _interrupted() -> int:
    exec("")  # resets the interpreter's note of an interruption inside exec, on which it would die by the signal
    return _fail("interrupted; nothing half-written was left", EXIT_INTERRUPTED)


def _began_as_interruption(error: BaseException | None) -> bool:
    """Tell whether what was raised came of an interruption: one inside a lock's own code ends as a RuntimeError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _forget_output() -> None:
    """Keep what is left in the buffer of standard output from failing again at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(line: str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"kscale: {one_line(line)}\n")
        sys.stderr.flush()
    return code


if __name__ == "__main__":
    main()
