"""CRI-O.

No figures are published for its calls: they are taken to be containerd's.
"""

from kscale.node.runtimes import Runtime

RUNTIME = Runtime("crio", sandbox_us=0, cni_add_us=20_000, create_us=0, start_us=568_000)
