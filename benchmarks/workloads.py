"""The workloads: one row each. To add one, add a row; its expectations are what the first run prints."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.making import Made, Published
from benchmarks.objects import Objects
from benchmarks.placements import PLACEMENTS
from benchmarks.row import Expected, Network, Workload

_DAY = 86_400_000_000
_OPENB_NODES = "openb/openb_node_list_gpu_node.csv"
_OPENB_PODS = "openb/openb_pod_list_default.csv"
OPENB_FILLED = Published(_OPENB_PODS, _OPENB_NODES, order="openb/fgd/openb_default.npz")
OPENB_TIMED = Published(_OPENB_PODS, "openb/openb_node_list_all_node.csv")
JOBS = Published("other/alibaba2017_derived/jobs.csv.gz", "96cpu,512Gi:4000")
LIKE_OPENB = Made("openb", pods=10_866, nodes=1_213, days=30)
LIKE_OPENB_TIMED = Made("openb", pods=8_152, nodes=1_523, days=150)
EVEN = Made("uniform", pods=20_000, nodes=5_000, days=0.5)
WIDE = Made("uniform", pods=20_000, nodes=5_000, days=0.5, shapes=";".join(
    f"{cpu}cpu,{(1 << 47) + more}:1250" for cpu, more in ((64, -1), (64, 0), (96, 1), (96, -(1 << 40)))
))  # fmt: skip


def like_jobs(pods: int) -> Made:
    """Return a job list of ``pods`` pods that come as densely whatever their number."""
    return Made("alibaba", pods=pods, nodes=4_000, days=pods / 200_000, shapes="96cpu,512Gi:4000")


@dataclass(frozen=True)
class Filling:
    """An inflation by one policy: most seconds, then running pods and fingerprint, published and made."""

    seconds: float
    published: tuple[int, str]
    like: tuple[int, str]


FILLINGS = {
    "Random": Filling(
        0.15,
        (8151, "67d4b3b0c54adc3fd9d395fff15d6f4128f87cce8a6148b3eecd0096ed09a8b0"),
        (7214, "96c7890965bec6a246b8f6c7dc4d6ab38dfb19382209cebea64e944390e3ecc7"),
    ),
    "DotProd": Filling(
        0.15,
        (8026, "0a4361bd7667296a018a4dbca4e9f49920b6a05c734d735ed21c25b54ba62c40"),
        (6889, "2193148cfd93b24639787dd2558a7e35466197ed7073b1950a67b7538a7918a2"),
    ),
    "GpuClustering": Filling(
        0.15,
        (8021, "f03788ae716f29ab95ebb21d72f3a5fdf6b063df0ab06754f2db66e2df0e7c41"),
        (6632, "0f69125e6da6f49a10ad4802db73a68fbf317f7d7a1cc0033028674d123af408"),
    ),
    "GpuPacking": Filling(
        0.15,
        (8017, "611f1a9526b18bd05322f8a825755116d791b430885ffdd63b6cf58d5893fffa"),
        (6613, "529405880879f308a78f88e00a1ff970e52d6e1468c7667812eb0c43ff43c047"),
    ),
    "BestFit": Filling(
        0.15,
        (8136, "f40f119478cddad8f0367f2266bb65084fd1f1b83f241ce96ede4285a09d76aa"),
        (6951, "f84e346740c48ef02fbb951c165c0b19a60cae68903bb67b4e73c8b304da095d"),
    ),
    "FGD": Filling(
        0.4,
        (8321, "f79eceed2ed19303c7f1d92dce7e33d2e66bd4f0f906844b5fa33b4c6a414ea7"),
        (6798, "f98dc7b8336c47551288a2c04a0acc96e2df2c5fc3978e941856b3362461c88e"),
    ),
}
_FILLED_PODS = 10_866


def _filled(placed: tuple[int, str]) -> Expected:
    running, fingerprint = placed
    return Expected({"attempts": _FILLED_PODS, "refused": _FILLED_PODS - running, "running": running}, fingerprint)


def _finished(pods: int, fingerprint: str, attempts: int | None = None) -> Expected:
    return Expected({"attempts": attempts or pods, "succeeded": pods}, fingerprint)


_OPENB_RUN = _finished(8152, "81dbbf5120e0c21a08c6e619be30a6e5cda7950d7db90d26f3320740dc165b21", attempts=8153)
_LIKE_OPENB_RUN = _finished(8152, "a3755cf8eba0753eda5824a0eeef739375a560ec56f791711be69f7798c857e3")
_JOBS_RUN = _finished(2_551_075, "1b724b02ac5b96b1e5c9b52873039b7f736d2a4263c3d2c53d28fc34583f260f")
_GROWTH = (100_000, 200_000, 400_000)
_SCAN = {"memo": False, "sample_us": _DAY, "labels": ("scan",), "limits": {"ns_per_node_and_pod": 3.5}}
_FILL = {"inflate": True, "labels": ("openb", "inflate", "gpu")}
_TIMED = {"labels": ("openb", "timed", "gpu")}
_REPLAY = {"labels": ("openb", "command"), "rounds": 3, "limits": {"seconds": 6}}
_FIRST = {"labels": ("openb", "command"), "rounds": 1, "cold": True, "full": True, "limits": {"seconds": 40}}
_READ = {"labels": ("read",), "rounds": 5}

WORKLOADS: tuple[Workload, ...] = (
    *(
        Workload(f"inflate-openb-{policy}", "Published pods onto 1,213 nodes, nothing ends.", "run", OPENB_FILLED,
                 policy=policy, expected=_filled(how.published), limits={"seconds": how.seconds}, **_FILL)
        for policy, how in FILLINGS.items()
    ),
    *(
        Workload(f"inflate-like-openb-{policy}", "As many made pods onto 1,213 nodes, nothing ends.", "run", LIKE_OPENB,
                 policy=policy, expected=_filled(how.like), limits={"seconds": how.seconds}, **_FILL)
        for policy, how in FILLINGS.items()
    ),
    Workload("timed-openb", "Published pods on all 1,523 nodes, with their times.", "run", OPENB_TIMED,
             expected=_OPENB_RUN, **_TIMED),
    Workload("timed-like-openb", "8,152 made pods on 1,523 nodes, with their times.", "run", LIKE_OPENB_TIMED,
             expected=_LIKE_OPENB_RUN, **_TIMED),
    Workload("scan", "Each of 20,000 pods scores all 5,000 nodes: fit, least allocated, balanced.", "run", EVEN,
             expected=_finished(20_000, "c3566a08e45fe61a2f54eba61dd37b194e8d310de88131678b8a50df96d67fbd"), **_SCAN),
    Workload("scan-wide", "The same where memory is an odd number near 2^47 bytes a node: set right in int64.", "run",
             WIDE, labels=("scan",), memo=False, sample_us=_DAY, limits={"ns_per_node_and_pod": 6},
             expected=_finished(20_000, "82bef31faa819cb294a7786a23aa4010582c8c395cb8674ac2fc7609cf4bfe19")),
    Workload("growth-like-jobs", "Job lists of 100,000 to 400,000 pods on 4,000 nodes: does each cost the same?",
             "growth", sizes=tuple(like_jobs(pods) for pods in _GROWTH), labels=("jobs", "timed"), rounds=5,
             expected=Expected({f"succeeded_{pods}": pods for pods in _GROWTH}), limits={"growth_percent": 25}),
    Workload("replay-jobs", "The whole command on the published job list, 2.55 million pods, 4,000 nodes.", "command",
             JOBS, labels=("jobs", "command"), rounds=2, full=True, expected=_JOBS_RUN,
             limits={"seconds": 60, "peak_mb": 3000}),
    Workload("replay-like-jobs", "The whole command on a made job list of 200,000 pods, 4,000 nodes.", "command",
             like_jobs(200_000), labels=("jobs", "command"), rounds=2,
             expected=_finished(200_000, "bcb579f9872781aa00e3fdac8f1e20edaccab56f5cda70a1842a8257037595cb")),
    Workload("replay-openb", "A small replay with its report, code compiled before.", "command", OPENB_TIMED,
             expected=_OPENB_RUN, **_REPLAY),
    Workload("replay-like-openb", "The same on a made trace.", "command", LIKE_OPENB_TIMED,
             expected=_LIKE_OPENB_RUN, **_REPLAY),
    Workload("first-openb", "The same as the first run ever: no compiled code yet.", "command", OPENB_TIMED,
             expected=_OPENB_RUN, **_FIRST),
    Workload("first-like-openb", "The same on a made trace.", "command", LIKE_OPENB_TIMED,
             expected=_LIKE_OPENB_RUN, **_FIRST),
    Workload("place-simple", "5,000 pods of 20 templates on 5,000 nodes of four shapes, as objects.", "place",
             objects=Objects("simple", 5_000, 5_000, 20), labels=("objects",), limits={"pods_per_second": 9_500},
             expected=Expected({"attempts": 5_000, "running": 5_000},
                               "debc08d0b67b6125b81512c6b096d5f6af510a4f9305ebfc06eeba4e46bfe9ca")),
    Workload("place-deploy", "3,000 pods of 60 ReplicaSets with Services, spread, affinity, taints; 1,000 nodes.",
             "place", objects=Objects("deploy", 1_000, 3_000, 60), labels=("objects",),
             limits={"pods_per_second": 30_000}, expected=Expected(
                 {"attempts": 3_000, "running": 3_000},
                 "d4ad81a84aa79f33792aa81b5c5e89dc207f1aad12d47c98eace5107249fc602")),
    Workload("dump", "Reads a dump of 150,000 pods and 5,000 nodes as kubectl gives them, 937 MB.", "dump",
             objects=Objects("simple", 5_000, 150_000, 1), labels=("objects",), rounds=2, full=True,
             limits={"seconds": 15, "peak_mb": 3_937},
             expected=Expected({"pods": 150_000, "pending": 1_500, "nodes": 5_000})),
    Workload("network-small", "500 nodes are programmed with 20 changes a second of 1,000 Services.", "network",
             network=Network("iptables", 500, 1_000, 10, 20, 300), labels=("network",),
             expected=Expected({"changes": 6_000, "syncs": 133_500, "full_syncs": 43},
                               "8524067b5fd03ef1ebf925ff95bb3c9bc6b7de686e81af8903b5146165adbbdd")),
    Workload("network", "5,000 nodes, 10,000 Services with 50 endpoints, 100 changes a second for an hour; one thread.",
             "network", network=Network(), labels=("network",), rounds=1, full=True, limits={"seconds": 120},
             expected=Expected({"changes": 360_000, "syncs": 1_936_550, "full_syncs": 5_000},
                               "6ff2bf281379dbf90e31a1297c9716cdbe1ce47b005452b196c1220a038c144a")),
    Workload("help", "`kscale --help`.", "help", labels=("command",), limits={"seconds": 0.3}),
    Workload("read-openb", "Reads the published pod list of openb.", "read", OPENB_TIMED, expected=Expected(
        {"pods": 8152, "specs": 151, "arrival_us": 94_122_763_871_000_000,
         "duration_us": 210_197_755_000_000}), **_READ),
    Workload("read-jobs", "Reads the published job list.", "read", JOBS, expected=Expected(
        {"pods": 2_551_075, "specs": 682, "arrival_us": 104_707_285_699_000_000,
         "duration_us": 188_726_763_396_178}), **_READ),
    Workload("read-own", "Reads a made job list of 200,000 pods in kscale's own Parquet.", "read", like_jobs(200_000),
             expected=Expected({"pods": 200_000, "specs": 13, "arrival_us": 8_360_178_752_513_000,
                                "duration_us": 4_267_735_534_183_000}), **_READ),
    *PLACEMENTS,
)  # fmt: skip
