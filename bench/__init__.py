"""Load generators and peer comparisons: ``make bench``.

One run measures QueueCore, Node's BullMQ and Python's bullmq on one private server, in turn, so
that only ratios within a run count. Nothing here asserts a time, and no figure is typed by hand.
"""
