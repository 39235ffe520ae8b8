"""The columns of the room: parameters of kubelets, containers of templates, what each pod and node remembers.

A parameter is a column of the table ``kubelet``; its row says where its figure is from. Where none is published, the
row says so, and the default leaves the step out or takes what a runtime's file gives.
"""

from __future__ import annotations

from typing import Any

from kscale.state.schema import Column, NewTable, bounds

#: Steps of a start: rows of ``startup``.
SEEN, SANDBOX, VOLUMES, PULL, INIT_STEP, CONTAINERS, PLEG, READINESS = range(8)
STEPS = ("seen", "sandbox", "volumes", "pull", "init", "containers", "pleg", "readiness")
#: Classes of the histogram: below 1 ms, below 2 ms, below 4 ms and so on.
BUCKETS = 24


def _parameter(name: str, default: int, doc: str, unit: str = "us") -> Column:
    return Column(name, "int64", doc, unit, default, dims=("one",))


_KUBELET = (
    _parameter("watch_us", 5_000, "Until a kubelet sees a binding or a deletion: the surcharge for watchers that "
               "kube-apiserver itself counts with, 5 ms for up to ten (flowcontrol/request)."),
    _parameter("relist_us", 1_000_000, "PLEG: between two looks at the runtime (genericPlegRelistPeriod)."),
    _parameter("evented", 0, "1: the runtime tells of changes at once (EventedPLEG, alpha, off).", ""),
    _parameter("call_gap_us", 20_000, "kubeAPIQPS 50: one call each 20 ms (KubeletConfiguration)."),
    _parameter("call_burst", 100, "kubeAPIBurst (KubeletConfiguration).", "calls"),
    _parameter("backoff_us", 10_000_000, "First back-off of a container that is restarted (pkg/kubelet)."),
    _parameter("backoff_most_us", 300_000_000, "MaxContainerBackOff (pkg/kubelet); forgotten after twice that."),
    _parameter("requeue_us", 10_000_000, "A pod whose sync failed is synced again after this times U[1, 1.5] "
               "(pkg/kubelet/pod_workers.go); 0: just when its back-off has passed."),
    _parameter("pull_gap_us", 200_000, "registryPullQPS 5: one pull each 200 ms (KubeletConfiguration)."),
    _parameter("pull_burst", 10, "registryBurst (KubeletConfiguration).", "pulls"),
    _parameter("pull_backoff_us", 10_000_000, "First back-off of a pull that failed (pkg/kubelet)."),
    _parameter("pull_backoff_most_us", 300_000_000, "MaxImageBackOff (pkg/kubelet)."),
    _parameter("pull_bytes_per_s", 100_000_000, "Bandwidth of a pull. No figure is published.", "bytes/s"),
    _parameter("registry_failing", 0, "1 while the registry fails: pulls that are asked for then fail.", ""),
    _parameter("unpack_bytes_per_s", 200_000_000, "How fast layers are unpacked. No figure is published.", "bytes/s"),
    _parameter("reconcile_us", 100_000, "Loop of the volume manager (reconcilerLoopSleepPeriod)."),
    _parameter("mount_poll_us", 300_000, "WaitForAttachAndMount looks each 300 ms (podAttachAndMountRetryInterval)."),
    _parameter("attach_us", 0, "CSI ControllerPublishVolume. No figure is published."),
    _parameter("mount_us", 0, "CSI NodeStageVolume and NodePublishVolume. No figure is published."),
    _parameter("unmount_us", 0, "CSI NodeUnpublishVolume and NodeUnstageVolume. No figure is published."),
    _parameter("detach_us", 0, "CSI ControllerUnpublishVolume. No figure is published."),
    _parameter("force_detach_us", 360_000_000, "A volume of a node that does not unmount it is detached by force after "
               "6 min (attach-detach controller, maxWaitForUnmountDuration)."),
    _parameter("sandbox_us", 0, "CRI RunPodSandbox without its network, and PodSandboxStatus: see the runtimes."),
    _parameter("cni_add_us", 0, "CNI ADD: see the runtimes."),
    _parameter("create_us", 0, "CRI ImageStatus and CreateContainer: see the runtimes."),
    _parameter("start_us", 0, "CRI StartContainer: see the runtimes."),
    _parameter("pull_us", 0, "A PullImage that has nothing to fetch: see the runtimes."),
    _parameter("stop_us", 0, "CRI StopContainer beyond what the application takes: see the runtimes."),
    _parameter("stop_sandbox_us", 0, "CRI StopPodSandbox, CNI DEL with it: see the runtimes."),
    _parameter("least_grace_us", 2_000_000, "Least time between SIGTERM and SIGKILL (minimumGracePeriodInSeconds)."),
    _parameter("gc_high", 85, "imageGCHighThresholdPercent (KubeletConfiguration).", "percent"),
    _parameter("gc_low", 80, "imageGCLowThresholdPercent (KubeletConfiguration).", "percent"),
    _parameter("gc_age_us", 120_000_000, "imageMinimumGCAge (KubeletConfiguration)."),
    _parameter("gc_period_us", 300_000_000, "ImageGCPeriod (pkg/kubelet)."),
)  # fmt: skip


def _probe(kind: str) -> tuple[Column, ...]:
    path = f"spec.containers[*].{kind}Probe"
    return (
        Column(f"{kind}_period_us", "int64", f"Period of its {kind} probe; 0 has none.", "us", path=path),
        Column(f"{kind}_delay_us", "int64", f"Initial delay of its {kind} probe.", "us", path=path),
        Column(f"{kind}_timeout_us", "int64", f"Timeout of its {kind} probe, no longer than its period.", "us",
               path=path),
        Column(f"{kind}_failure", "int64", f"failureThreshold of its {kind} probe.", path=path),
    )  # fmt: skip


_CONTAINER = (
    Column("kind", "uint8", "0 init container, 1 sidecar, 2 regular."),
    Column("image", "int64", "Its image; -1 has none that is known.", default=-1, path="spec.containers[*].image"),
    Column("pulls", "uint8", "When it is pulled: 0 if it is not there, 1 always, 2 never.",
           path="spec.containers[*].imagePullPolicy"),
    Column("restart", "uint8", "When it is started anew: 0 never, 1 on failure, 2 always."),
    Column("prestop_us", "int64", "How long its preStop hook takes.", "us"),
    Column("poststart_us", "int64", "How long its postStart hook takes.", "us"),
    Column("run_us", "int64", "How long it runs by itself; -1 until it is stopped.", "us", default=-1),
    Column("code", "int64", "What it then returns."),
    Column("crash_millionths", "int64", "Of a million starts, how many crash at once."),
    Column("crash_mean_us", "int64", "Mean time until it crashes; 0 never does.", "us"),
    Column("crash_code", "int64", "What it returns when it crashes."),
    Column("oom_us", "int64", "From its start until it has used more memory than its limit; -1 never.", "us",
           default=-1),
    Column("ready_us", "int64", "From its start until the application answers.", "us"),
    Column("hang_us", "int64", "From its start until it answers no more; -1 never.", "us", default=-1),
    Column("stop_us", "int64", "How long it takes to stop after SIGTERM.", "us"),
    Column("pull_failures", "int64", "How many pulls of its image fail first; -1 all."),
    *_probe("startup"),
    *_probe("liveness"),
    *_probe("readiness"),
    Column("readiness_success", "int64", "successThreshold of its readiness probe.",
           path="spec.containers[*].readinessProbe"),
)  # fmt: skip

_SLOT = ("life", "slot")
_LIFE = (
    Column("cursor", "uint8", "The container that its sync starts next."),
    Column("sync_us", "int64", "When it does; the largest time while the sync waits for something.", "us",
           default=1 << 62),
    Column("mark_us", "int64", "Up to when its start is accounted for by step.", "us"),
    Column("worker_us", "int64", "When its probe workers began: their ticks; -1 before its volumes are there.", "us",
           default=-1),
    Column("call_us", "int64", "When its kubelet may tell its status; -1 has nothing to tell.", "us", default=-1),
    Column("stop_us", "int64", "When its containers and its sandbox have stopped.", "us", default=1 << 62),
    Column("end_phase", "uint8", "The phase that it ends in."),
    Column("spent_us", "int64", "Time that its start took, by step.", "us", dims=("life", "startup")),
    Column("slot_state", "uint8", "State of each container: see kscale.node.containers.", dims=_SLOT),
    Column("slot_due_us", "int64", "When its kubelet looks at a container.", "us", 1 << 62, _SLOT),
    Column("slot_start_us", "int64", "When it started.", "us", dims=_SLOT),
    Column("slot_seen_us", "int64", "When its kubelet sees that it runs.", "us", dims=_SLOT),
    Column("slot_started_us", "int64", "When its startup probe succeeds.", "us", dims=_SLOT),
    Column("slot_ready_us", "int64", "When it is ready.", "us", dims=_SLOT),
    Column("slot_unready_us", "int64", "When its readiness probe fails again.", "us", dims=_SLOT),
    Column("slot_end_us", "int64", "When it exits.", "us", dims=_SLOT),
    Column("slot_own_us", "int64", "When it exits if no probe has it killed.", "us", dims=_SLOT),
    Column("slot_kill_us", "int64", "When a probe has it killed; the largest time where none does.", "us", dims=_SLOT),
    Column("slot_code", "int64", "What it returns then.", dims=_SLOT),
    Column("slot_restarts", "int64", "How often it was started anew.", dims=_SLOT, path="status.containerStatuses"),
    Column("slot_backoff_us", "int64", "Its back-off; 0 has none.", "us", dims=_SLOT),
    Column("slot_backoff_at_us", "int64", "When that was set.", "us", dims=_SLOT),
    Column("slot_pulls", "int64", "Pulls of its image that failed.", dims=_SLOT),
)  # fmt: skip

_NODE = (
    Column("silent", "uint8", "1 while its kubelet does not run."),
    Column("relist_us", "int64", "Where in the period its kubelet looks at the runtime.", "us"),
    Column("call_us", "int64", "Its client's limit: when the bucket is full again.", "us"),
    Column("pull_us", "int64", "Its registry's limit: when the bucket is full again.", "us"),
    Column("puller_us", "int64", "When each of its pullers is free.", "us", dims=("node", "puller")),
    Column("layers", "uint64", "Bit words of the layers that it has.", dims=("node", "layerword")),
    Column("pulling", "uint64", "Bit words of those that are on their way.", dims=("node", "layerword")),
    Column("leaving", "uint64", "Bit words of those whose pods have gone meanwhile.", dims=("node", "layerword")),
    Column("leaving_us", "int64", "When all pulls of these are done.", "us"),
    Column("image_bytes", "int64", "Bytes of its layers.", "bytes"),
    Column("image_other", "int64", "Bytes in the same file system that are not Kubernetes'.", "bytes"),
    Column("image_capacity", "int64", "Size of that file system; 0: never collected.", "bytes"),
    Column("gc_us", "int64", "When its images are collected next.", "us"),
    Column("image_users", "int32", "Pods on it that use an image; only where images are collected.",
           dims=("node", "collected")),
    Column("image_used_us", "int64", "When it was used last.", "us", dims=("node", "collected")),
)  # fmt: skip

COLUMNS: dict[str, Any] = {
    "kubelet": NewTable("What all kubelets have in common: parameters.", _KUBELET),
    "container": NewTable("A container of a template, in the order in which they start.", _CONTAINER),
    "image": NewTable("An image.", (
        Column("layers", "uint64", "Bit words of its layers.", dims=("image", "layerword")),
    )),
    "layer": NewTable("A layer of images.", (Column("bytes", "int64", "Its size.", "bytes"),)),
    "claimed": NewTable("A claim that a template's pods mount.", (
        Column("attached", "int64", "Its row of the table attached."),
    )),
    "attached": NewTable("A claim, and where it is attached.", (
        Column("node", "int64", "The node; -1 for none.", default=-1),
        Column("users", "int64", "Pods there that mount it.", "pods"),
        Column("free_us", "int64", "When it is detached.", "us"),
    )),
    "startup": NewTable("A step of the start of pods that became ready.", (
        Column("count", "int64", "Pods.", "pods"),
        Column("sum_us", "int64", "Time spent in it in all.", "us"),
        Column("bucket", "int64", "Pods by time: below 1 ms, below 2 ms and so on.", "pods",
               dims=("startup", "bucket")),
    )),
    "template": (
        *bounds("container"),
        *bounds("claimed"),
        Column("volumes", "int64", "Volumes that are mounted and not attached.", path="spec.volumes"),
        Column("own_claims", "int64", "Claims that each of its pods has for itself."),
        Column("static", "uint8", "1 where a file on the node made it."),
        Column("host_network", "uint8", "1 where it has no network of its own.", path="spec.hostNetwork"),
        Column("restart", "uint8", "0 Never, 1 OnFailure, 2 Always.", default=2, path="spec.restartPolicy"),
    ),
    "life": _LIFE,
    "node": _NODE,
}  # fmt: skip
