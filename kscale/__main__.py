"""The door: runs a command and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import os
import sys

from kscale import cli
from kscale.errors import EXIT_INPUT, EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_MACHINE, KscaleError, one_line


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 good, 1 gate, 2 input, 3 internal, 4 machine, 130 interrupted."""
    if arguments in ([], ["-h"], ["--help"]):
        # Without the command framework: help answers in the time that the interpreter takes to start.
        sys.stdout.write(cli.overview())
        return 0
    try:
        return cli.dispatch(arguments)
    except KscaleError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone: no fault. What is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _fail("out of memory", EXIT_MACHINE)
    except OSError as error:
        return _fail(f"{error.filename or 'the machine refused'}: {error.strerror or error}", EXIT_MACHINE)
    except Exception as error:
        if os.environ.get("KSCALE_DEBUG"):
            raise
        what = f"internal fault: {type(error).__name__}: {error}"
        return _fail(f"{one_line(what, 300)}; KSCALE_DEBUG=1 shows where", EXIT_INTERNAL)


def _fail(line: str, code: int) -> int:
    hint = "" if code != EXIT_INPUT else "\n(kscale COMMAND --help shows usage and examples)"
    sys.stderr.write(f"kscale: {one_line(line)}{hint if line.startswith('usage:') else ''}\n")
    return code


if __name__ == "__main__":
    main()
