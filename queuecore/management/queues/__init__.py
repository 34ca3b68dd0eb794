"""The subcommands of ``manage.py queues``, one a module, and what they share."""
