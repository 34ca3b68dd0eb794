"""Django's task framework on queues: what :mod:`queuecore.tasks` offers, and how workers run it.

``framework`` says which framework there is. ``task`` is what ``@task`` makes, ``backend`` turns it
into jobs and ``result`` jobs into results; ``names`` finds the task of a job's name, ``attempt``
runs it, and ``serving`` makes workers of the queues that the setting ``TASKS`` names.
"""
