"""The command line. Each command is a function in a module of this folder, imported when it is called."""

from __future__ import annotations

from dataclasses import dataclass

from kscale import __version__
from kscale.errors import InputError, one_line


@dataclass(frozen=True)
class Command:
    """A command: its words, where its function is, and what it does in one line."""

    words: str
    function: str
    help: str


COMMANDS = (
    Command(
        "replay", "kscale.cli.replay:replay", "Replay a workload trace on nodes and write a run folder with a report."
    ),
    Command("demo", "kscale.cli.demo:demo", "Replay the bundled trace: the quickest look at what kscale does."),
    Command("report", "kscale.cli.report:report", "Check a run folder and print its summary."),
    Command("trace info", "kscale.cli.trace:info", "What is in a trace: span, requests, durations, load."),
    Command("trace convert", "kscale.cli.trace:convert", "Write a trace in kscale's own format."),
    Command("trace synth", "kscale.cli.trace:synth", "Make a seeded workload with a published shape."),
    Command("trace template", "kscale.cli.trace:template", "Write an example file in kscale's own format."),
    Command(
        "schema", "kscale.cli.schema:schema", "The columns of the state, or of a run folder, with units and meaning."
    ),
)

EXAMPLES = """Examples:
  kscale demo
  kscale replay pods.csv --nodes nodes.csv --out run
  kscale replay pods.parquet --nodes '96cpu,512Gi,8xA100:40;64cpu,256Gi:200' --policy FGD --out run
  kscale trace info pods.csv --nodes nodes.csv
"""


def overview() -> str:
    """Return the help of the whole program, from the table of commands."""
    width = max(len(command.words) for command in COMMANDS)
    rows = "\n".join(f"  {command.words.ljust(width)}  {command.help}" for command in COMMANDS)
    return (
        f"kscale {__version__}: a Kubernetes cluster simulated as columns of numbers.\n\n"
        f"Usage: kscale COMMAND [OPTIONS]\n\nCommands:\n{rows}\n\n"
        f"Options:\n  -h, --help     Show this, or the help of a command.\n  --version      Show the version.\n\n{EXAMPLES}"
    )


def dispatch(arguments: list[str]) -> int:
    """Run the command that the arguments name and return its exit code (0 unless it says otherwise).

    Raises InputError for wrong usage.
    """
    from cyclopts import App, CycloptsError

    app = App(name="kscale", version=__version__, help="A Kubernetes cluster simulated as columns of numbers.")
    groups: dict[str, App] = {}
    for command in COMMANDS:
        *above, name = command.words.split()
        parent = app
        if above:
            if above[0] not in groups:
                groups[above[0]] = App(name=above[0], help="Look at, convert and make workload traces.")
                app.command(groups[above[0]])
            parent = groups[above[0]]
        parent.command(command.function, name=name, help=command.help)
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise InputError(one_line(" ".join(str(error).split())), expected="kscale COMMAND --help") from None
    return code if isinstance(code, int) else 0
