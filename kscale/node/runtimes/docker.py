"""Docker, by cri-dockerd.

``docker run`` takes 568 ms with an SSD and 1,157 ms with a disk, of which namespaces are 8 to 10 ms (a study on arXiv);
here it is the start of a container with an SSD, and of the sandbox's own container as well. CNI ADD of the bridge
plug-in takes less than 20 ms without duplicate address detection (kubernetes#54651). No figures are published for the
other calls: they are taken to be part of these.
"""

from kscale.node.runtimes import Runtime

RUNTIME = Runtime("docker", sandbox_us=568_000, cni_add_us=20_000, create_us=0, start_us=568_000)
