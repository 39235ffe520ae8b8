"""Containerd, by its CRI plug-in.

CNI ADD of the bridge plug-in takes less than 20 ms (kubernetes#54651); with containerd's default network and many pods
at once on one host it was 1.5 s (containerd#6111). No figures are published for its sandbox and its containers by
themselves: the start of a container is taken to be Docker's, which starts it by containerd, and the sandbox none.
"""

from kscale.node.runtimes import Runtime

RUNTIME = Runtime("containerd", sandbox_us=0, cni_add_us=20_000, create_us=0, start_us=568_000)
