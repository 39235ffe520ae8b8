"""Calico: its routes, its addresses, how changes reach the nodes, and its policies.

``bgp`` counts sessions and routes and tells when each node has a new one, ``ipam`` gives addresses out in blocks,
``typha`` fans changes out, ``felix`` brings them into effect on a node. ``selectors`` reads Calico's own selectors,
``manifests`` its policies, ``endpoints`` holds pods as columns, and ``tiers`` decides which connections pass.

Every number of Calico's is a row of ``parameters``, with its source.
"""
