"""Everything that happens inside a worker process, in the order it happens to a job.

``process`` starts one ``worker`` for each queue. Its ``lanes`` claim jobs and report outcomes in
the same calls, each over an ``exchange``; ``demand`` says how many jobs they claim, and ``fetch``
waits on the marker until something may be ready. ``runs`` holds what was claimed: ``advance`` adds
the next run of a scheduler, ``execute`` runs the processors (``database`` keeps their connections
clean), ``finish`` turns what they returned or raised into an outcome for the next call.

Meanwhile ``locks`` renews the locks from a thread of its own, ``stalled`` looks for the jobs of
workers that died, ``blocked`` for jobs that block the event loop, and ``presence`` tells how this
process is. ``hooks`` calls what wants to know, ``complaints`` tells of errors. ``control`` is what
a program does to its worker; ``manual`` is for jobs that it runs itself.
"""

from .worker import Worker

__all__ = ["Worker"]
