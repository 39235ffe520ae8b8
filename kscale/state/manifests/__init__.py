"""Kubernetes objects as people have them become typed, defaulted data for the scheduler.

``take_inventory`` reads files, folders or stdin; ``inventory_of`` takes objects that are decoded already.
"""

from kscale.state.manifests.inventory import Inventory, NodeObject, PodColumns
from kscale.state.manifests.reading import ReadOptions, read_objects
from kscale.state.manifests.taking import inventory_of, take_inventory

__all__ = ["Inventory", "NodeObject", "PodColumns", "ReadOptions", "inventory_of", "read_objects", "take_inventory"]
