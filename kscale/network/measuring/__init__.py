"""Measures what kube-proxy's rules cost this machine: three network namespaces, rules of the real shape, own traffic.

Client, gateway and server are namespaces of a child process (``worker``); the gateway holds the rules. They have no
names, so that they vanish with the process, whatever ends it. Standard library only: a worker that is small starts
small programs. It needs Linux, root, and the programs ``ip``, ``iptables-restore``, ``nft`` or ``ipvsadm``.
"""
