"""``kscale replay``: from a trace and nodes to a run folder with a report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from kscale.cli.options import Flag, Objects, Quiet, Whole
from kscale.cli.terminal import tell, tell_dropped
from kscale.errors import EXIT_GATE, InputError
from kscale.state.quantities import parse_duration, parse_quantity

if TYPE_CHECKING:
    from kscale.replay import Plan
    from kscale.report.summary import Summary


def replay(
    trace: Path | None = None,
    /,
    *,
    out: Path,
    filename: Annotated[Objects, Parameter(show_default=False)] = (),
    scenario: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    nodes: str | None = None,
    node_events: str | None = None,
    on_node_leave: Literal["requeue", "fail"] = "requeue",
    client_limits: Annotated[bool, Parameter(show_default=False)] = True,
    service_cluster_ip_range: str = "10.96.0.0/12",
    service_node_port_range: str = "30000-32767",
    proxy_mode: str | None = None,
    proxy_option: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    proxy_parameters: Path | None = None,
    format: str | None = None,
    policy: str = "default",
    inflate: Flag = False,
    ends: Literal["service", "recorded"] = "service",
    load: float = 1.0,
    compress: float = 1.0,
    seed: Whole = 0,
    until: str | None = None,
    sample: str | None = None,
    scheduler_rate: str | None = None,
    config: Path | None = None,
    pod_order: Path | None = None,
    node_order: Path | None = None,
    check: Flag = False,
    budget: Path | None = None,
    lenient: Flag = False,
    machine_unit: str | None = None,
    workload: str | None = None,
    max_input: str = "2Gi",
    quiet: Quiet = False,
) -> int:
    """Replay a workload trace on nodes, or let Kubernetes objects live, and write a run folder with a report.

    Every pod is scheduled in virtual time, as kube-scheduler v1.34.1 would place it, scoring all nodes. The folder OUT
    holds run.json, Parquet tables, figures, report.html and report.md; they appear together when the run is whole.
    Until then a new OUT holds incomplete.json alone, and so it does after a run was killed: the next run replaces it.

    Parameters
    ----------
    trace
        Trace file, of any format that kscale reads; not needed with -f.
    filename
        File or folder of Kubernetes objects, JSON or YAML, as of ``kubectl get -o json``: the state at the start. Their
        controllers and kubelets are at work, for an hour after the last that is known to come. May be given several
        times.
    scenario
        Scenario file: timed or random actions on the objects (apply, scale, image, pause, rollback, delete, evict,
        crash, registry, load …); see docs/scenarios.md. May be given several times.
    nodes
        Node file, or shapes: ``96cpu,512Gi[,8xA100][,label=value]:4000``, several separated by ``;``. The trace's own
        nodes where it has some and none are given.
    node_events
        File of what happens to the nodes: they join, leave, change what they offer, are cordoned. ``none`` leaves out
        those that the trace has of its own nodes.
    on_node_leave
        What becomes of pods whose node leaves: others like them are tried in their place (requeue), or they are gone
        (fail).
    client_limits
        With -f: controllers have the workers and the client rate limits of kube-controller-manager. Without, they do
        all that is to be done at once.
    service_cluster_ip_range
        With -f: the IPv4 addresses that Services get (kube-apiserver's option; the default is kubeadm's).
    service_node_port_range
        With -f: the node ports that Services get (kube-apiserver's option and default).
    proxy_mode
        With -f: the mode of the nodes' kube-proxies where there are Services: iptables (as by Kubernetes' default),
        nftables, ipvs, userspace, or none.
    proxy_option
        Option of that mode, as NAME=CHOICE: backend=nft, list=table, scheduler=lc. May be given several times.
    proxy_parameters
        JSON or YAML file with other numbers for kube-proxy's model, as ``kscale proxy curve --out`` writes it.
    out
        Run folder to write; an older run folder of this name is replaced.
    format
        Name of the trace's format; found by looking where it is not given.
    policy
        ``default`` (kube-scheduler's score plug-ins) or one score plug-in alone: LeastAllocated, MostAllocated,
        Random, DotProd, GpuClustering, GpuPacking, BestFit, FGD …
    inflate
        Arrivals only: nothing ends, and a pod that does not fit is dropped for good.
    ends
        ``service``: a pod runs as long as recorded, from its start. ``recorded``: it ends when the trace says.
    load
        Above 1 adds seeded clones, below 1 thins.
    compress
        2 halves the time between arrivals.
    seed
        Seed of every draw.
    until
        Virtual time at which the run ends, such as ``2d12h``.
    sample
        Virtual time between rows of the timeline; a 500th of the horizon where it is not given.
    scheduler_rate
        Pods per second that the scheduler decides on, or ``real``; without it a decision takes no time.
    config
        KubeSchedulerConfiguration: the pods of a trace are those of its profile ``default-scheduler``.
    pod_order
        Row indices of the trace, one a line or .npy: the pods to replay, in this order.
    node_order
        Row indices of the nodes: their order, which is the order of ties.
    check
        Check the invariants at every control point; slow.
    budget
        Budget file: its limits stand among the checks of the report, and a broken one ends the command with 1. With
        GITHUB_STEP_SUMMARY set, verdict, checks and key figures are appended to that file.
    lenient
        Leave bad rows out and count them instead of stopping at the first.
    machine_unit
        What 1.0 of a machine is, as a shape, where the trace gives fractions.
    workload
        Which workload of a trace file that holds several, such as ``SchedulingBasic/500Nodes``.
    max_input
        Most bytes that a whole-document reader may produce.
    quiet
        No progress on standard error.
    """
    from kscale.replay import Plan

    plan = Plan(
        objects=filename, scenario=scenario, client_limits=client_limits,
        trace=trace, nodes=nodes, out=out, format=format, policy=policy, inflate=inflate, ends=ends, load=load,
        compress=compress, seed=seed, until_us=parsed("--until", parse_duration, until),
        sample_us=parsed("--sample", parse_duration, sample), scheduler_rate=scheduler_rate, pod_order=pod_order,
        node_order=node_order, check=check, lenient=lenient, machine_unit=machine_unit, workload=workload,
        max_input=parsed("--max-input", parse_quantity, max_input) or 0, config=config,
        budget=budget, service_cluster_ip_range=service_cluster_ip_range,
        service_node_port_range=service_node_port_range, proxy_mode=proxy_mode, proxy_option=proxy_option,
        proxy_parameters=proxy_parameters,
        node_events=node_events, on_node_leave=on_node_leave,
    )  # fmt: skip
    return run(plan, quiet=quiet)


def run(plan: Plan, *, quiet: bool = False) -> int:
    """Replay a plan with progress on standard error and the end summary on standard output."""
    from kscale.cli import step_summary
    from kscale.cli.progress import Reporter
    from kscale.replay import replay as do
    from kscale.report import terminal
    from kscale.writing import Stages

    _check(plan)
    with Reporter(quiet=quiet) as reporter:
        done, summary = do(plan, Stages(reporter.stage), reporter.progress)
    if not quiet:
        for note in done.notes:
            tell(f"note: {note}", stderr=True)
    tell_dropped(done.dropped)
    sys.stdout.write("\n".join(terminal.lines(summary, plan.out)) + "\n")
    step_summary.add_report(summary)
    return exit_code(summary)


def exit_code(summary: Summary) -> int:
    """Return 1 where a limit of the budget is broken, and 0 elsewhere."""
    return 0 if all(one.good for one in summary.budget) else EXIT_GATE


def _check(plan: Plan) -> None:
    """Refuse what no run can start from before anything is read. Raises InputError."""
    if not 0 <= plan.seed < 1 << 63:
        raise InputError("is out of range", field="--seed", expected="0 to 2^63 - 1")
    if plan.sample_us == 0:
        raise InputError("is 0", field="--sample", expected="a duration above 0")
    untimed = {
        "--until": plan.until_us, "--sample": plan.sample_us, "--scheduler-rate": plan.scheduler_rate,
        "--ends": None if plan.ends == "service" else plan.ends, "--compress": None if plan.compress == 1 else 1,
    }  # fmt: skip
    clash = next((name for name, value in untimed.items() if value is not None), None)
    if plan.inflate and clash:
        raise InputError(f"{clash} says nothing with --inflate, which has no time", expected="one of the two")
    if plan.config is not None and plan.policy != "default":
        raise InputError(
            f"--config says nothing with --policy {plan.policy}, which replaces its score plug-ins",
            expected="one of the two",
        )
    _check_objects(plan)
    objects = [Path(name) for name in (*plan.objects, *plan.scenario)]
    check_out(
        plan.out,
        plan.trace,
        Path(plan.nodes or "-"),
        *objects,
        plan.pod_order,
        plan.node_order,
        plan.config,
        plan.budget,
        plan.proxy_parameters,
        Path(plan.node_events) if plan.node_events is not None else None,
    )


def _check_objects(plan: Plan) -> None:
    """Refuse what does not go together with objects, or needs them. Raises InputError."""
    from kscale.replay import NO_EVENTS

    if plan.trace is None and not plan.lives:
        raise InputError(
            "there is nothing to replay", expected="a trace file, -f with Kubernetes objects, or --scenario"
        )
    events = plan.node_events not in (None, NO_EVENTS)
    if events and (plan.lives or plan.inflate or plan.trace is None):
        raise InputError(
            "--node-events is for a trace in time, without -f, --scenario and --inflate", expected="one of the two"
        )
    alone = {"--inflate": plan.inflate, "--ends recorded": plan.ends == "recorded",
             "--node-order": plan.node_order is not None}  # fmt: skip
    clash = next((name for name, there in alone.items() if there), None)
    ranges = {"--service-cluster-ip-range": "service_cluster_ip_range",
              "--service-node-port-range": "service_node_port_range"}  # fmt: skip
    proxies = {f"--proxy-{name}": f"proxy_{name}" for name in ("mode", "option", "parameters")}
    idle = next((name for name, field in (ranges | proxies).items()
                 if getattr(plan, field) != getattr(type(plan), field)), None)  # fmt: skip
    if idle and not plan.lives:
        raise InputError(f"{idle} says nothing without -f or --scenario, which bring Services", expected="one of these")
    if plan.lives and clash:
        raise InputError(
            f"{clash} says nothing with -f or --scenario, where kubelets start and end pods", expected="one of the two"
        )


def check_out(out: Path, *inputs: Path | None) -> None:
    """Refuse a run folder that would take the place of the working folder or of an input. Raises InputError."""
    whole = out.resolve()
    if whole in (Path.cwd(), *Path.cwd().parents):
        raise InputError("is the working folder, or holds it", file=out, field="--out", expected="a new name")
    for path in inputs:
        if path is not None and whole in path.resolve().parents:
            raise InputError("holds an input, which would be lost", file=out, field="--out", expected="a new name")


def parsed(option: str, parse: Callable[[str], int], text: str | None) -> int | None:
    """Return what ``parse`` makes of an option's value. Raises InputError that names the option."""
    if text is None:
        return None
    try:
        return parse(text)
    except InputError as error:
        raise InputError(error.problem, field=option, expected=error.expected) from None
