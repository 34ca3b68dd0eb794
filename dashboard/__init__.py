"""The operators' web page for every BullMQ queue of a Redis: live, permitted, audited.

The folder is called ``dashboard``; in the wheel it is the package ``queuecore_dashboard``. It
therefore imports itself only relatively.
"""
