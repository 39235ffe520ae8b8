"""The ground: the cluster's state as columns, and the words it is given in."""
