"""Podman, as a runtime of kubelets (historical: it was never a CRI runtime of its own; pods were made by its daemon).

No figures are published for its calls: they are taken to be CRI-O's, with which it shares its libraries.
"""

from kscale.node.runtimes import Runtime

RUNTIME = Runtime("podman", sandbox_us=0, cni_add_us=20_000, create_us=0, start_us=568_000)
