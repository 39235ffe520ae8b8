"""Container runtimes: one module each, which declares a ``Runtime``.

To add one, add a module here; its name is what ``found`` knows it by. What a runtime's calls take is a parameter with
its source in the module's docstring, which also says where no figure is published.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from kscale import shelf

#: What starts a pod's first container, and what stops a pod: CRI calls, in order.
START_CALLS = (
    "RunPodSandbox", "PodSandboxStatus", "ImageStatus", "PullImage", "CreateContainer", "StartContainer",
    "ContainerStatus",
)  # fmt: skip
STOP_CALLS = ("StopContainer", "StopPodSandbox", "RemoveContainer", "RemovePodSandbox")


@dataclass(frozen=True)
class Runtime:
    """What the calls of a runtime take, in microseconds.

    Attributes:
        name: as people call it.
        sandbox_us: RunPodSandbox and PodSandboxStatus, without the network.
        cni_add_us: CNI ADD.
        create_us: ImageStatus and CreateContainer.
        start_us: StartContainer.
        pull_us: a PullImage that has nothing to fetch.
        stop_us: StopContainer, beyond what the application takes.
        stop_sandbox_us: StopPodSandbox, CNI DEL with it.
        start_calls, stop_calls: which calls a start and a stop make.
    """

    name: str
    sandbox_us: int
    cni_add_us: int
    create_us: int
    start_us: int
    pull_us: int = 0
    stop_us: int = 0
    stop_sandbox_us: int = 0
    start_calls: tuple[str, ...] = START_CALLS
    stop_calls: tuple[str, ...] = STOP_CALLS


@cache
def found() -> dict[str, Runtime]:
    """Return every runtime, by its name."""
    return shelf.declared(__name__, Runtime)
