"""NetworkPolicy: which connections between pods, and to and from addresses outside, are allowed.

``reading`` takes the objects, ``policies`` checks and defaults them, ``ends`` holds pods and addresses as columns,
``rules`` what policies amount to over these, ``reach`` who reaches whom, ``why`` the reason for one pair, ``carried``
what a node carries of it all, and ``packet`` what a packet passes.

The rules are those of networking.k8s.io/v1 (Kubernetes 1.34). A pod is isolated for a direction when a policy of that
direction selects it; then only what a rule of such a policy allows may pass, and all rules add up. A connection needs
the egress of its source and the ingress of its destination. Replies to an allowed connection always pass. A pod always
reaches itself. The node that a pod runs on and the pod always reach each other.
"""
