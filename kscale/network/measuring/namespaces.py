"""Three network namespaces without names: they are there as long as this process and what it starts."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

#: Linux, include/uapi/linux/sched.h and prctl.h.
_CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x40000000, 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_OWN = "/proc/self/ns/net"
NAMES = ("client", "gateway", "server")


def _call(done: int) -> None:
    if done != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def die_with(parent: int) -> None:
    """Let the kernel kill this process when ``parent``, which has to be its parent, ends. Raises OSError."""
    _call(_LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(1)


class Namespaces:
    """Client, gateway and server: file descriptors of namespaces, and nothing that has a name.

    Use it as a context; afterwards this process is where it was before. Raises OSError where that is not allowed.
    """

    def __enter__(self) -> Namespaces:
        self._files: dict[str, int] = {}
        self._home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for name in NAMES:
                _call(_LIBC.unshare(_CLONE_NEWNET))
                self._files[name] = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _call(_LIBC.setns(self._home, _CLONE_NEWNET))
        for file in (self._home, *self._files.values()):
            os.close(file)

    def path(self, name: str) -> str:
        """Return a path by which other programs find a namespace."""
        return f"/proc/{os.getpid()}/fd/{self._files[name]}"

    @contextlib.contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Be in a namespace: sockets and processes that are made there stay there."""
        before = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call(_LIBC.setns(self._files[name], _CLONE_NEWNET))
            yield
        finally:
            _call(_LIBC.setns(before, _CLONE_NEWNET))
            os.close(before)


def set_number(name: str, value: int) -> None:
    """Write a number of the kernel, of the namespace that this process is in. Raises OSError."""
    Path("/proc/sys", name).write_text(f"{value}\n")
