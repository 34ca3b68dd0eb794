"""The queues ``email`` and ``newsletter``: what the shop writes to its customers."""
