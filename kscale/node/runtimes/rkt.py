"""Rkt (historical): a pod is one unit of systemd, so that its sandbox starts with its first container.

No figures are published for its calls: a start is taken to be Docker's.
"""

from kscale.node.runtimes import Runtime

RUNTIME = Runtime("rkt", sandbox_us=0, cni_add_us=20_000, create_us=0, start_us=568_000)
