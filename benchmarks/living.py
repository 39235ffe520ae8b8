"""Deployments created, scheduled, started and rolled to a new image; then an hour in which nothing happens.

    python -m benchmarks.living --deployments 50000 --replicas 20 --nodes 20000

``--services`` gives so many of the Deployments a Service each. Client limits are off. Seconds are of wall time, after
compiling; memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from kscale import casting
from kscale.scenario import read
from kscale.settings import Settings
from kscale.simulation import Simulation
from kscale.state.manifests import ReadOptions
from kscale.traces import Options
from kscale.traces.common import opening

MINUTE = 60_000_000
#: Distinct requests and images among the Deployments.
_KINDS = 20


def deployment(number: int, replicas: int) -> dict[str, Any]:
    """Return a Deployment of its own labels, one of twenty sizes."""
    kind, labels = number % _KINDS, {"app": f"web-{number}"}
    requests = {"cpu": f"{100 + 10 * kind}m", "memory": f"{256 + 16 * kind}Mi"}
    container = {"name": "web", "image": f"registry/web-{kind}:1", "resources": {"requests": requests}}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": f"web-{number}", "namespace": f"team-{number % 100}"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }  # fmt: skip


def service(number: int) -> dict[str, Any]:
    """Return the Service of a Deployment."""
    return {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": f"web-{number}", "namespace": f"team-{number % 100}"},
        "spec": {"selector": {"app": f"web-{number}"}, "ports": [{"port": 80}]},
    }  # fmt: skip


def staged(folder: Path, deployments: int, replicas: int, nodes: int, services: int = 0) -> Simulation:
    """Return the run, read from files: all Deployments at the start, all with a new image after ten minutes.

    The first ``services`` of them have a Service each.
    """
    items = [deployment(number, replicas) for number in range(deployments)]
    items += [service(number) for number in range(services)]
    (folder / "web.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    actions = [
        {
            "at": "10m",
            "image": {
                "target": f"deployment/web-{number}", "namespace": f"team-{number % 100}",
                "containers": {"web": f"registry/web-{number % _KINDS}:2"},
            },
        }
        for number in range(deployments)
    ]  # fmt: skip
    (folder / "roll.json").write_text(json.dumps(actions))
    gathering = casting.read_objects([str(folder / "web.json")], ReadOptions())
    frame = opening.read_nodes(f"64cpu,256Gi:{nodes}", Options())
    found = casting.stage(gathering, None, frame, limited=False, scenario=read([folder / "roll.json"]))
    settings = Settings(until_us=180 * MINUTE)
    return Simulation(found.trace, found.nodes, settings, objects=found.objects, cast=found.cast)


def main() -> None:
    """Run, and print a line for each part."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("deployments", 7500), ("replicas", 20), ("nodes", 5000), ("services", 0)):
        asked.add_argument(f"--{name}", type=int, default=default)
    given = asked.parse_args()
    began = time.perf_counter()

    def tell(part: str) -> None:
        nonlocal began
        now = time.perf_counter()
        print(f"{part:<12} {now - began:8.1f} s   {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:6.1f} GB")
        began = time.perf_counter()

    with tempfile.TemporaryDirectory() as name:
        run = staged(Path(name), given.deployments, given.replicas, given.nodes, given.services)
    tell("read")
    run.compile()
    tell("compiled")
    run.start()
    assert run.living is not None
    cluster, world = run.cluster, run.living.world
    rows = cluster.object_row[world.all_of("Deployment")]
    run.advance(9 * MINUTE)
    tell("started")
    assert cluster.deployment_available_replicas[rows].sum() == given.deployments * given.replicas
    run.advance(60 * MINUTE)
    tell("rolled")
    done = cluster.deployment_updated_replicas[rows] == given.replicas
    assert np.all(done) and cluster.cluster_deleted_pods[0] == given.deployments * given.replicas
    run.advance(120 * MINUTE)
    tell("quiet hour")


if __name__ == "__main__":
    main()
