"""How pods live on their nodes: what a kubelet reads of a pod, and how its containers behave."""

from __future__ import annotations

from dataclasses import dataclass

#: Values of ``ContainerLife.kind``.
INIT, SIDECAR, REGULAR = range(3)
#: Values of ``PodLife.restart_policy``, and of ``ContainerLife.restart`` (an init container is restarted on failure
#: unless the policy is Never, a sidecar always).
NEVER_RESTART, ON_FAILURE, ALWAYS_RESTART = range(3)
#: Values of ``PodLife.qos``.
GUARANTEED, BURSTABLE, BEST_EFFORT = range(3)
#: Most crashes in an hour that may be asked for: one each millisecond.
MOST_CRASHES = 3_600_000
_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Probe:
    """A probe of a container, with Kubernetes' defaults.

    Attributes:
        delay_us: initialDelaySeconds.
        period_us: periodSeconds.
        timeout_us: timeoutSeconds.
        success, failure: successThreshold and failureThreshold.
    """

    delay_us: int = 0
    period_us: int = 10_000_000
    timeout_us: int = 1_000_000
    success: int = 1
    failure: int = 3


@dataclass(frozen=True)
class ContainerLife:
    """A container: what its kubelet reads, and how it behaves.

    Attributes:
        name: its name in the pod.
        kind: INIT, SIDECAR or REGULAR.
        image: its image, tag included.
        always_pulls, never_pulls: imagePullPolicy Always, or Never; neither is IfNotPresent.
        restart: when it is started anew.
        startup, liveness, readiness: its probes; None where it has none.
        prestop_us: how long its preStop hook takes.
        poststart_us: how long its postStart hook takes.
        run_us, exit_code: how long it runs by itself, and what it then returns; -1 runs until it is stopped.
        crash_millionths: of a million starts, how many crash at once.
        crash_mean_us: the mean time until it crashes, exponential; 0 never does.
        crash_code: what it returns then.
        ready_us: from its start until the application answers.
        hang_us: from its start until it answers no more; -1 never.
        stop_us: how long it takes to stop after SIGTERM.
        memory, growth, limit: bytes at its start, bytes more per second, and its limit in bytes (0: none).
        pull_failures: how many pulls of its image fail first; -1 all.
    """

    name: str = ""
    kind: int = REGULAR
    image: str = ""
    always_pulls: bool = False
    never_pulls: bool = False
    restart: int = ALWAYS_RESTART
    startup: Probe | None = None
    liveness: Probe | None = None
    readiness: Probe | None = None
    prestop_us: int = 0
    poststart_us: int = 0
    run_us: int = -1
    exit_code: int = 0
    crash_millionths: int = 0
    crash_mean_us: int = 0
    crash_code: int = 1
    ready_us: int = 0
    hang_us: int = -1
    stop_us: int = 0
    memory: int = 0
    growth: int = 0
    limit: int = 0
    pull_failures: int = 0

    def oom_us(self) -> int:
        """Return how long after its start it is killed for using more memory than its limit; -1 never."""
        if self.limit <= 0 or (self.growth <= 0 and self.memory <= self.limit):
            return -1
        if self.memory > self.limit:
            return 0
        return -(-(self.limit - self.memory + 1) * 1_000_000 // self.growth)


@dataclass(frozen=True)
class PodLife:
    """What a kubelet reads of a pod.

    Attributes:
        containers: init containers and sidecars in order, then regular ones.
        restart_policy: of the pod.
        grace_us: terminationGracePeriodSeconds.
        qos: its quality of service class.
        mounts: volumes that are mounted and not attached (secrets, config maps, projected tokens, empty directories).
        claims: claims that are attached, as ``namespace/name``.
        own_claims: claims that each of its pods has for itself, which are attached where it is.
        static: whether a file on the node made it, and no controller may delete it.
        host_network: whether it has no network of its own (no CNI ADD).
        cpu_limit_milli: limit of the cpu of its regular containers in all; 0 where one of them has none.
        layers: of images whose layers are known: (image, ((layer, bytes), ...)) pairs.
        crashing: (kind, namespace, name) of the workloads that its pods are of, and whose crashes are set while a run
            goes on, the nearest first.
    """

    containers: tuple[ContainerLife, ...] = (ContainerLife(),)
    restart_policy: int = ALWAYS_RESTART
    grace_us: int = 30_000_000
    qos: int = BEST_EFFORT
    mounts: int = 0
    claims: tuple[str, ...] = ()
    own_claims: int = 0
    static: bool = False
    host_network: bool = False
    cpu_limit_milli: int = 0
    layers: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    crashing: tuple[tuple[str, str, str], ...] = ()


def crash_mean_us(per_hour: float) -> int:
    """Return the mean time until a container crashes that does so ``per_hour`` times in an hour; 0 never does."""
    # 2^48 us are nine years.
    return min(round(_HOUR_US / per_hour), 1 << 48) if per_hour > 0 else 0
