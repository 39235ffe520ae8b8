"""Random small worlds for the property tests, as frames for kscale and as objects for the plain twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from hypothesis import strategies as st

from kscale.traces import NODES, PODS, SPECS, Trace
from tests import naive

MI = 1024 * 1024
ZONES = ("a", "b", "c")
TAINTS = ("", "", "", "maint:NoSchedule", "spot=yes:PreferNoSchedule", "spot:PreferNoSchedule,maint=x:NoExecute")
TOLERATIONS = ("", "", "maint", "*", "maint:NoSchedule,maint=x:NoExecute", "spot=yes", "*:PreferNoSchedule",
               "node.kubernetes.io/unschedulable:NoSchedule")  # fmt: skip
SELECTORS = ("", "", "", "zone=a", "zone=b,disk=ssd")
TERMS = ("", "", "zone in (a,b)", "zone notin (a) | disk=ssd", "gen>1", "!disk,gen<3", "gen>-1", "zone=nowhere")
PREFERRED = ("", "", "10: zone=a", "10: zone=a | 5: disk=ssd", "1: gen>1 | 100: !disk")
MODELS = ("T4", "V100", "A100")


@dataclass(frozen=True)
class World:
    """Nodes, specs and pods as rows."""

    nodes: list[dict[str, Any]]
    specs: list[dict[str, Any]]
    pods: list[dict[str, Any]]

    def trace(self) -> Trace:
        """The workload as a reader would give it."""
        extended = {key: pl.Int64 for row in self.specs for key in row if key.startswith("resource.")}
        return Trace(
            "test",
            pl.DataFrame(self.pods, schema=PODS),
            pl.DataFrame(self.specs, schema={**SPECS, **extended}),
        )

    def node_frame(self) -> pl.DataFrame:
        """The nodes as a reader would give them."""
        extended = {key: pl.Int64 for row in self.nodes for key in row if key.startswith("resource.")}
        return pl.DataFrame(self.nodes, schema={**NODES, **extended})

    def naive(self, **options: Any) -> list[naive.Result]:
        """What the plain twin makes of it."""
        specs = [naive.spec_of(row) for row in self.specs]
        return naive.run([naive.node_of(row) for row in self.nodes], naive.pods_of(self.pods, specs), **options)


def node_rows(gpus: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Nodes of a few shapes, some without room, some on both sides of 2^46 and 2^47 bytes."""
    memory = st.sampled_from([0, 512 * MI, 1000 * MI, 4096 * MI, (1 << 46) - 1, 1 << 46, (1 << 47) - 3, (1 << 47) + 5])
    return st.fixed_dictionaries(
        {
            "cpu_milli": st.sampled_from([0, 1000, 1500, 4000, 7777]),
            "memory_bytes": memory,
            "ephemeral_storage_bytes": st.sampled_from([None, 100 * MI]),
            "pods": st.sampled_from([0, 1, 3, 110, None]).map(lambda n: 110 if n is None else n),
            "gpu_count": st.sampled_from([0, 0, 1, 2, 4, 8]) if gpus else st.just(0),
            "gpu_model": st.sampled_from(MODELS),
            "labels": st.builds(
                lambda zone, disk, gen: ",".join(filter(None, [f"zone={zone}", disk, f"gen={gen}"])),
                st.sampled_from(ZONES), st.sampled_from(["", "disk=ssd"]), st.sampled_from(["1", "2", "x", "007"]),
            ),
            "taints": st.sampled_from(TAINTS),
            "unschedulable": st.sampled_from([False, False, False, True]),
            "resource.example.com/fpga": st.sampled_from([0, 2]),
        }
    ).map(lambda row: row if row["gpu_count"] else {**row, "gpu_model": None})  # fmt: skip


def spec_rows(gpus: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Specs of all that is modelled, mostly small."""
    shares = st.sampled_from([(0, 0), (0, 0), (1, 300), (1, 500), (1, 999), (1, 1000), (2, 1000), (4, 1000)])
    return st.builds(
        lambda row, share, models: {
            **row, "gpu_count": share[0], "gpu_milli": share[1], "gpu_models": models if share[0] else None,
        },
        st.fixed_dictionaries(
            {
                "cpu_milli": st.sampled_from([None, 0, 100, 333, 1000, 2500]),
                "memory_bytes": st.sampled_from([None, 0, 100 * MI, 333 * MI, 1 << 45, (1 << 46) + 1]),
                "ephemeral_storage_bytes": st.sampled_from([None, None, 40 * MI]),
                "priority": st.sampled_from([0, 0, 0, 10, -5]),
                "node_selector": st.sampled_from(SELECTORS),
                "node_affinity": st.sampled_from(TERMS),
                "preferred_node_affinity": st.sampled_from(PREFERRED),
                "tolerations": st.sampled_from(TOLERATIONS),
                "node_name": st.sampled_from([None] * 8 + ["n1"]),
                "resource.example.com/fpga": st.sampled_from([None, None, 1]),
            }
        ),
        shares if gpus else st.just((0, 0)),
        st.sampled_from(["", "", "T4", "V100|A100"]),
    )  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn, gpus: bool = True, most_nodes: int = 6, most_pods: int = 14) -> World:
    """A world in which pods compete: times in a few seconds, so that instants coincide."""
    nodes = draw(st.lists(node_rows(gpus), min_size=1, max_size=most_nodes))
    nodes = [{"name": f"n{i}", **row} for i, row in enumerate(nodes)]
    specs = draw(st.lists(spec_rows(gpus), min_size=1, max_size=5))
    present = {row["gpu_model"] for row in nodes}
    for spec in specs:
        if spec["gpu_models"] and not present & set(spec["gpu_models"].split("|")):
            spec["gpu_models"] = ""
    second = 1_000_000
    times = st.sampled_from([0, 0, second // 2, second, second, 3 * second, 11 * second, 400 * second])
    pods = []
    for i in range(draw(st.integers(0, most_pods))):
        arrival = draw(times)
        duration = draw(st.sampled_from([None, 0, second // 3, 2 * second, 2 * second, 40 * second, 900 * second]))
        end = draw(st.sampled_from([None, 0, second, 5 * second, 700 * second]))
        pods.append(
            {
                "name": f"p{i}", "namespace": "default", "owner": None, "arrival_us": arrival, "duration_us": duration,
                "end_us": None if end is None else arrival + end, "spec": draw(st.integers(0, len(specs) - 1)),
            }
        )  # fmt: skip
    return World(nodes, specs, pods)
