"""The demo: the gateway and the simulated vendors on one machine, with messages to watch on their way.

``story`` is the flow and knows no vendor by name; what differs between vendors is data, one file each in ``vendors``.
"""
