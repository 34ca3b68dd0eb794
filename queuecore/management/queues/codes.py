"""The exit codes of ``manage.py queues``; 2 is argparse's: an option that it does not know."""

#: Something is over the bounds that were given, was refused, or is not there.
FOUND = 1
#: Redis does not answer, or the database does not.
AWAY = 3
#: Ctrl-C.
INTERRUPTED = 130
