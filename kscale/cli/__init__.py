"""The command line. Each command is a function in a module of this folder, imported when it is called.

To add a command, add its function, and a row to ``COMMANDS``: its words, where the function is, what it does in one
line, and examples. Its page of help is the function's docstring, then the examples.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kscale import __version__

if TYPE_CHECKING:
    from cyclopts import App

_ABOUT = "A Kubernetes cluster simulated as columns of numbers."
_GROUPS = {
    "trace": "Look at, convert and make workload traces.",
    "netpol": "Look at what NetworkPolicies allow, and what they cost.",
    "proxy": "What kube-proxy writes into a node, and what that costs.",
}
_HELP = ("-h", "--help")


@dataclass(frozen=True)
class Command:
    """A command: its words, where its function is, what it does in one line, and command lines as examples."""

    words: str
    function: str
    help: str
    examples: tuple[str, ...]


COMMANDS = (
    Command(
        "replay",
        "kscale.cli.replay:replay",
        "Replay a trace on nodes; write a run folder with a report.",
        (
            "kscale replay pods.csv --nodes nodes.csv --out run",
            "kscale replay pods.parquet --nodes '96cpu,512Gi,8xA100:40;64cpu,256Gi,zone=a:200' --out run",
            "kscale replay openb_pods.csv --nodes openb_nodes.csv --inflate --policy FGD --seed 42 --out run",
            "kscale replay jobs.swf --nodes '64cpu,256Gi:500' --until 7d --load 1.5 --out run",
            "kscale replay pods.csv --nodes nodes.csv --config scheduler.yaml --out run",
            "kscale replay -f manifests/ --nodes '8cpu,32Gi:20' --scenario day.yaml --out run",
        ),
    ),
    Command(
        "demo",
        "kscale.cli.demo:demo",
        "Replay the bundled trace: the quickest look at kscale.",
        ("kscale demo", "kscale demo --out demo  # then open demo/report.html"),
    ),
    Command(
        "schedule",
        "kscale.cli.schedule:schedule",
        "Place pending pods against nodes and bound pods.",
        (
            "kscale schedule -f - < cluster.json  # from kubectl get nodes,pods,pv,pvc,sc,pdb,pc,svc,rs,sts -A -o json",
            "kscale schedule -f cluster.json -f new-pods.yaml --config scheduler.yaml",
            "kscale schedule -f dump/ -n shop -l app=web -o json",
            "kscale schedule -f cluster.json -f new-pods.yaml -o objects | kubectl apply -f -",
            "kscale schedule -f dump/ --out placed  # then open placed/report.html",
        ),
    ),
    Command(
        "explain",
        "kscale.cli.explain:explain",
        "Explain where one pod goes, or why nowhere.",
        (
            "kscale explain web-7f6d -f cluster.json",
            "kscale explain shop/web-7f6d -f dump/ --config scheduler.yaml -o wide",
            "kscale explain web-7f6d -n shop -f cluster.json --after queue -o json",
        ),
    ),
    Command(
        "fit",
        "kscale.cli.fit:fit",
        "Tell how many more of a pod fit, on each node and in all.",
        (
            "kscale fit web-7f6d -f cluster.json",
            "kscale fit --pod new.yaml -f cluster.json -o json",
            "kscale fit shop/web shop/worker --together -f dump/ --limit 500",
        ),
    ),
    Command(
        "verify",
        "kscale.cli.verify:verify",
        "Compare decisions with those of the real kube-scheduler.",
        ("kscale verify tests/golden/scheduler", "kscale verify recordings/ --engine scan -o json"),
    ),
    Command(
        "report",
        "kscale.cli.report:report",
        "Print the summary of a run folder or of a cluster.",
        (
            "kscale report run",
            "kscale report run -o json",
            "kscale report run -o markdown > report.md",
            "kscale report -f cluster.json --out today  # then open today/report.html",
        ),
    ),
    Command(
        "compare",
        "kscale.cli.compare:compare",
        "Hold two run folders against each other.",
        ("kscale compare before after", "kscale compare before after -o json"),
    ),
    Command(
        "check",
        "kscale.cli.check:check",
        "Hold a run folder against a budget of limits.",
        (
            "kscale check run --budget budget.yaml --init",
            "kscale check run --budget budget.yaml --junit check.xml",
            "kscale check run --budget budget.yaml --against before -o json",
        ),
    ),
    Command(
        "netpol reach",
        "kscale.cli.netpol:reach",
        "Tell who reaches whom under NetworkPolicies, and why not.",
        (
            "kscale netpol reach -f dump/ --port 80/TCP  # of kubectl get pods,namespaces,networkpolicies -A -o json",
            "kscale netpol reach -f dump/ --from shop/web-0 --to shop/db-0 --port 5432",
            "kscale netpol reach -f dump/ --from app=web --to tier=db -n shop --port postgres -o wide",
            "kscale netpol reach -f dump/ --from 192.0.2.7 --to shop/web-0 --port http -o json",
        ),
    ),
    Command(
        "netpol rules",
        "kscale.cli.netpol:rules",
        "Tell what chains, rules and IP sets policies put on each node.",
        ("kscale netpol rules -f dump/", "kscale netpol rules -f dump/ -o csv"),
    ),
    Command(
        "trace info",
        "kscale.cli.trace:info",
        "What is in a trace: span, requests, durations, load.",
        ("kscale trace info pods.csv", "kscale trace info jobs.swf --nodes '96cpu,512Gi:400' -o json"),
    ),
    Command(
        "trace convert",
        "kscale.cli.trace:convert",
        "Write a trace in kscale's own format.",
        (
            "kscale trace convert openb_pods.csv pods.parquet",
            "kscale trace convert openb_pods.csv pods.csv --nodes openb_nodes.csv --nodes-out nodes.csv",
        ),
    ),
    Command(
        "trace sample",
        "kscale.cli.trace:sample",
        "Write a seeded share of a trace: whole owners, machines, or a window of time.",
        (
            "kscale trace sample google.parquet tenth.parquet --share 0.1 --by owner --seed 1",
            "kscale trace sample pods.csv day.csv --by time --from 2d --until 3d",
        ),
    ),
    Command(
        "trace synth",
        "kscale.cli.trace:synth",
        "Make a seeded workload with a published shape.",
        (
            "kscale trace synth openb --out pods.parquet --nodes-out nodes.csv",
            "kscale trace synth borg --nodes 200 --pods 50000 --days 2 --seed 1 --out pods.parquet",
            "kscale trace synth days --nodes 12500 --pods 10000000 --days 30 --specs 1500 --out pods.parquet",
        ),
    ),
    Command(
        "trace template",
        "kscale.cli.trace:template",
        "Write an example file in kscale's own format.",
        ("kscale trace template pods.csv", "kscale trace template nodes.csv --kind nodes"),
    ),
    Command(
        "proxy curve",
        "kscale.cli.proxy:curve",
        "What kube-proxy costs by the number of Services.",
        (
            "kscale proxy curve",
            "kscale proxy curve --services 1000,5000,30000 --endpoints 1,50 --mode nftables --mode iptables -o csv",
            "kscale proxy curve --mode ipvs --option scheduler=lc --connections-rate 20000 -o wide",
            "kscale proxy curve --out proxies  # then open proxies/first-packet.svg",
            "kscale proxy curve --parameters proxies/parameters.json",
        ),
    ),
    Command(
        "proxy path",
        "kscale.cli.proxy:path",
        "What a packet passes, step by step, in one mode.",
        (
            "kscale proxy path --mode iptables --services 10000",
            "kscale proxy path --mode nftables --packet affinity-new --endpoints 50 -o json",
        ),
    ),
    Command(
        "proxy measure",
        "kscale.cli.proxy_measure:measure",
        "Measure what kube-proxy's rules cost this machine.",
        (
            "kscale proxy measure --out measured.csv  # as root, on Linux",
            "kscale proxy measure --services 100,1000,5000 --endpoints 1,10 --mode nftables --seconds 120 --out m.csv",
        ),
    ),
    Command(
        "proxy fit",
        "kscale.cli.proxy_fit:fit",
        "Fit the model's parameters to measurements.",
        (
            "kscale proxy fit measured.csv",
            "kscale proxy fit measured.csv --out parameters.json  # for proxy curve --cache warm --parameters",
        ),
    ),
    Command(
        "proxy advise",
        "kscale.cli.proxy_advise:advise",
        "Which mode of kube-proxy suits your Services, and why.",
        (
            "kscale proxy advise -f dump/  # of kubectl get services,endpointslices,pods,nodes -A -o json",
            "kscale proxy advise -f dump/ --growth 3 --connections-rate 5000 --kernel 6.12 -o wide",
            "kscale proxy advise --services 4000 --endpoints 10 --next 1000 --out advice",
            "kscale proxy advise -f cluster.json --need-scheduler lc --kubernetes 1.34 -o json",
            "kscale proxy advise -f pods.parquet  # a trace: each owner of pods is taken for a Service",
        ),
    ),
    Command(
        "schema",
        "kscale.cli.schema:schema",
        "The columns of the state or of a run folder, with units.",
        ("kscale schema --outputs", "kscale schema -o json"),
    ),
)

_FIRST_STEPS = (
    "kscale demo",
    "kscale schedule -f cluster.json -f new-pods.yaml",
    "kscale trace info pods.csv --nodes nodes.csv",
    "kscale replay pods.csv --nodes nodes.csv --out run",
    "kscale replay pods.csv --nodes '96cpu,512Gi,8xA100:40;64cpu,256Gi:200' --out run",
)


def overview() -> str:
    """Return the help of the whole program, from the table of commands."""
    width = max(len(command.words) for command in COMMANDS)
    rows = "\n".join(f"  {command.words.ljust(width)}  {command.help}" for command in COMMANDS)
    return (
        f"kscale {__version__}: {_ABOUT[0].lower()}{_ABOUT[1:]}\n\n"
        f"Usage: kscale COMMAND [OPTIONS]\n\nCommands:\n{rows}\n\n"
        f"Options:\n  -h, --help  Show this, or the help of a command.\n  --version   Show the version.\n\n"
        f"{_examples(_FIRST_STEPS)}"
    )


def _examples(lines: tuple[str, ...]) -> str:
    return "Examples:\n" + "".join(f"  {line}\n" for line in lines)


def named(arguments: list[str]) -> Command | None:
    """Return the command that the arguments begin with."""
    for command in COMMANDS:
        words = command.words.split()
        if arguments[: len(words)] == words:
            return command
    return None


def dispatch(arguments: list[str]) -> int:
    """Run the command that the arguments name and return its exit code (0 unless it says otherwise).

    Raises InputError for wrong usage.
    """
    from cyclopts import CycloptsError

    from kscale.cli.usage import told

    command = named(arguments)
    try:
        code = _app(command)(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise told(error, command, arguments) from None
    if command is not None and not set(arguments).isdisjoint(_HELP):
        # Not by the framework: it would break the lines, and a broken line cannot be copied.
        sys.stdout.write("\n" + _examples(command.examples))
    return code if isinstance(code, int) else 0


def _app(called: Command | None) -> App:
    """Return the commands as the framework knows them; the help of the one that is called is its docstring."""
    from cyclopts import App

    from kscale.cli.terminal import console

    # The door tells of an interruption and of a closed pipe; the framework would end the program by itself.
    app = App(name="kscale", version=__version__, help=_ABOUT, console=console(), suppress_keyboard_interrupt=False)
    groups = {name: App(name=name, help=about) for name, about in _GROUPS.items()}
    for group in groups.values():
        app.command(group)
    for command in COMMANDS:
        *above, name = command.words.split()
        parent = groups[above[0]] if above else app
        parent.command(command.function, name=name, **({} if command is called else {"help": command.help}))
    return app
