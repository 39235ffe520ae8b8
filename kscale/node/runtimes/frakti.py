"""Frakti (historical): each pod is a virtual machine.

No figures are published for its calls: sandbox and container are each taken to be Docker's start of a container.
"""

from kscale.node.runtimes import Runtime

RUNTIME = Runtime("frakti", sandbox_us=568_000, cni_add_us=20_000, create_us=0, start_us=568_000)
