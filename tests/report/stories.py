"""The runs that the report is tried on: timed with waiting, inflation, tiny, empty, nothing placed, hostile names."""

from __future__ import annotations

import random

from tests.report import lives
from tests.report.play import GIB, HOUR, SECOND, Input, Pod, Pool, Story, Template

NASTY = (
    "</script><img src=x onerror=alert(1)>",
    "[/oops][bold red]",
    "$x^2$ \\frac{1}{0}",
    "pod-🚀-日本語-\u202egnp.exe",
    "a|b`c`<svg/onload=alert(2)>",
    "n" * 253,
    "'\"&amp;--><!--",
    "line\nbreak\x1b[31m\x07\ttab",
)


def busy(pods: int = 900, seed: int = 1) -> Story:
    """A timed run over ten hours with GPUs, a rush in the middle, waiting, and templates that never fit."""
    draw = random.Random(seed)
    pools = [
        Pool("96cpu,512Gi,8xA100", 10, 96_000, 512 * GIB, gpus=8, model="A100", prefix="gpu-large"),
        Pool("32cpu,128Gi,2xT4", 14, 32_000, 128 * GIB, gpus=2, model="T4", prefix="gpu-small"),
        Pool("64cpu,256Gi", 20, 64_000, 256 * GIB, prefix="cpu"),
    ]
    templates = [
        Template("2 cpu, 8Gi", 2_000, 8 * GIB),
        Template("16 cpu, 96Gi", 16_000, 96 * GIB),
        Template("8 cpu, 32Gi, 1 GPU", 8_000, 32 * GIB, 1, 1000),
        Template("4 cpu, 16Gi, 0.3 GPU", 4_000, 16 * GIB, 1, 300),
        Template("64 cpu, 256Gi, 8 GPU", 64_000, 256 * GIB, 8, 1000),
        Template("128 cpu, 64Gi", 128_000, 64 * GIB),
    ]
    made = []
    for i in range(pods):
        kind = draw.choices(range(6), (40, 18, 25, 14, 2.5, 0.5))[0]
        at = draw.gauss(5, 1.2) if draw.random() < 0.6 else draw.uniform(0, 9.8)
        length = draw.lognormvariate(0.1, 1.0)
        made.append(
            Pod(
                f"job-{i}",
                kind,
                int(min(max(at, 0), 9.9) * HOUR),
                int(max(length, 0.02) * HOUR),
                draw.choice(["train", "web", "batch"]),
            )
        )
    return Story(pools, templates, made)


def fits() -> Story:
    """Everything is placed at once."""
    pods = [Pod(f"p{i}", i % 2, i * HOUR // 30, 2 * HOUR) for i in range(200)]
    templates = [Template("1 cpu, 2Gi", 1000, 2 * GIB), Template("2 cpu, 4Gi", 2000, 4 * GIB)]
    return Story([Pool("16cpu,64Gi", 8, 16_000, 64 * GIB)], templates, pods)


def inflate(pods: int = 700) -> Story:
    """Arrivals only; at the end pods are refused."""
    base = busy(pods)
    for i, pod in enumerate(base.pods):
        pod.arrives_us, pod.runs_us = (i + 1) * SECOND, None
        if pod.template == 1 and i % 2:
            pod.template = 3
        if pod.template == 0 and i % 3:
            pod.template = 2
    base.horizon_us, base.inflate = pods * SECOND, True
    return base


def tiny() -> Story:
    """One pod on one node."""
    return Story(
        [Pool("4cpu,8Gi", 1, 4000, 8 * GIB)], [Template("1 cpu, 1Gi", 1000, GIB)], [Pod("only", 0, 0, HOUR)], samples=10
    )


def empty() -> Story:
    """No pods at all."""
    return Story([Pool("4cpu,8Gi", 3, 4000, 8 * GIB)], [], [], samples=10)


def no_nodes() -> Story:
    """Pods, but no node."""
    return Story([], [Template("1 cpu, 1Gi", 1000, GIB)], [Pod("lost", 0, HOUR), Pod("lost-too", 0, 2 * HOUR)])


def nothing_placed() -> Story:
    """Pods that are larger than every node."""
    template = Template("64 cpu, 8Gi", 64_000, 8 * GIB)
    return Story([Pool("4cpu,8Gi", 3, 4000, 8 * GIB)], [template], [Pod(f"big-{i}", 0, i * HOUR) for i in range(5)])


def hostile() -> Story:
    """Names of pods, nodes, pools, specs, namespaces, files and notes that try to break out."""
    n = len(NASTY)
    pools = [Pool(f"{name}:{i}", 3, 8000, 32 * GIB, prefix=name, gpus=2, model=name) for i, name in enumerate(NASTY)]
    templates = [Template(f"{name} {i}", 3000, 4 * GIB, i % 2, 700) for i, name in enumerate(NASTY)]
    templates.append(Template("$never$ <b>fits</b> [/oops]", 900_000, GIB))
    pods = [Pod(f"{NASTY[i % n]}{i}", i % (n + 1), i * HOUR // 50, 3 * HOUR, NASTY[i % n]) for i in range(300)]
    inputs = [Input("trace", f"/tmp/{NASTY[0]}.csv", "cd" * 32, 99), Input("nodes", NASTY[1], "ef" * 32, 98)]
    return Story(
        pools,
        templates,
        pods,
        notes=list(NASTY),
        dropped={NASTY[0]: 3, NASTY[4]: 1},
        command=f"kscale replay '{NASTY[0]}' --out '[/oops]'",
        inputs=inputs,
    )


def living() -> Story:
    """A run with controllers: rollouts that finish, one that does not, one that breaks its bounds, autoscalers."""
    story = fits()
    rows = [row for k in range(12) for row in lives.created(f"shop-{k}", 0, 3 + k)]
    rows += lives.rolling("web", 3600, 20) + lives.rolling("api", 9000, 12, stops_at=4)
    rows += lives.broken("search", 14_000, kind="StatefulSet", space="data")
    loads = [1000, 1400, 3000, 5200, 7000, 6600, 6100, 4000, 2500, 1200, 800, 900, 2200, 4800, 3100, 1000]
    rows += lives.autoscaler("web", loads) + lives.autoscaler("api", [load // 2 for load in loads], 1800)
    objects = [("Deployment", "default", "web", None, 0, 20, 20, 20, 0, 0, 0, None)]
    objects += [
        ("ReplicaSet", "default", f"web-{k}", "Deployment/web", 0, 10, 10, 10, 0, 0, 7 * k, None) for k in range(3)
    ]
    objects += [("StatefulSet", "data", f"db-{k}", None, 0, 3, 3, 3, 0, 0, 40 - 2 * k, None) for k in range(20)]
    objects += [("PodDisruptionBudget", "data", f"db-{k}", None, 0, 3, 3, 3, 0, 0, 0, 5 * k) for k in range(4)]
    actions = [(int(at * HOUR), k + 1, words) for k, (at, words) in enumerate(ACTIONS)]
    controllers = [("deployment", 1234, 3), ("replicaset", 45_678, 0), ("horizontal-pod-autoscaler", 90, 1)]
    story.living = lives.tables(
        rollouts=rows,
        objects=objects,
        startup=lives.STARTUP,
        actions=actions,
        controllers=controllers,
        **lives.programmed(),
        **lives.travelled(),
    )
    return story


ACTIONS = [
    (1, "Deployment default/web gets image web:v2"),
    (2.49, "node node-3 is drained"),
    (2.5, "node node-4 is drained"),
    (2.52, "node node-5 is drained"),
    (3.9, "StatefulSet data/search gets image search:v9"),
    (9.99, "10 nodes leave"),
]


def resting() -> Story:
    """A run with controllers in which nothing happened: every table is there and empty."""
    story = tiny()
    story.living = lives.tables()
    return story


def hostile_lives() -> Story:
    """Names of kinds, objects, steps, actions and controllers that try to break out."""
    story = hostile()
    spans = [(k, name[:253]) for k, name in enumerate(NASTY)]
    rows = [row for k, name in spans for row in lives.broken(name, 1000 * k, kind=name, space=name)]
    rows += [row for _, name in spans for row in lives.autoscaler(name, [500, 9000, 100], space=name)]
    objects = [("Pod" + name, name, name, f"{name}/{name}", 0, 1, 1, 1, 0, 0, 5, 2) for _, name in spans]
    story.living = lives.tables(
        rollouts=rows,
        objects=objects,
        startup=[
            (name, 5 + k, 13_000 + k, [3 + k, 0, 0, 1, 1]) for k, name in [*spans, *((9, f"{n}2") for _, n in spans)]
        ],
        actions=[(k * HOUR, k, name) for k, name in spans],
        **lives.programmed(100, NASTY[0][:253], NASTY[1][:253]),
        **lives.travelled(NASTY[1][:253], NASTY[0][:253]),
        controllers=[(name, 10 + k, k) for k, name in spans],
    )
    return story


def many_lives(count: int = 1000) -> Story:
    """A thousand rollouts, a thousand autoscalers, as many actions at once."""
    story = tiny()
    rows = [row for k in range(count) for row in lives.rolling(f"web-{k}", 10 + 7 * k, 4 + k % 9, pace=5 + k % 11)]
    rows += [row for k in range(count) for row in lives.autoscaler(f"web-{k}", [k, 3 * k, 2 * k])]
    story.living = lives.tables(
        rollouts=rows,
        objects=[("ReplicaSet", "default", f"web-{k}", None, 0, 1, 1, 1, 0, 0, k, None) for k in range(count)],
        startup=[(f"step {k}", 10 + k % 5, (10 + k % 5) * 300_000 + k, [0] * 9 + [10 + k % 5]) for k in range(60)],
        actions=[(k * 36 * SECOND, k + 1, f"node-{k} is drained") for k in range(count)],
        controllers=[(f"controller-{k}", k, 0) for k in range(count)],
    )
    return story


ALL = {
    "busy": busy,
    "fits": fits,
    "inflate": inflate,
    "tiny": tiny,
    "empty": empty,
    "no_nodes": no_nodes,
    "nothing_placed": nothing_placed,
    "hostile": hostile,
    "living": living,
    "resting": resting,
    "hostile_lives": hostile_lives,
    "many_lives": many_lives,
}
