"""Traffic over Services: connections that clients open, spread over endpoints as each node's rules have them.

``Served`` is one Service: it is told flows (``kscale.engine.flows``), what proxies are to list and when each node's
rules have it (``Version``), and what endpoints truly are (``states``); ``advance`` brings it up to a time. In between,
where nothing changes, connections are not drawn one by one:

* New connections are a Poisson process (``rates``), and those that a random choice sends to one endpoint are one too,
  independent of the others: a draw for each endpoint stands for any number of them. That is exact, not a limit.
* Turns and hashes say where each of a node's or client's connections goes once their number is drawn
  (``spreading``, ``sticking``).
* Durations are exponential, or a mixture of exponentials where they have a heavy tail (``durations``): how many of
  those that are open end in a time needs no memory of when each began.
* Algorithms that look at what is open go connection by connection (``stepping``).

It costs by changes and steps, not by connections; memory goes by endpoints and clients that are there.
"""
