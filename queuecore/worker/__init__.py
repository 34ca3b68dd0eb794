"""Everything that happens inside a worker process, in the order it happens to a job.

``process`` starts one ``worker`` for each queue. The worker's ``fetch`` waits on the marker until
something may be ready; its lanes claim jobs and report outcomes in the same calls. ``execute``
runs the processors (``database`` keeps their connections clean), ``finish`` turns what they
returned or raised into an outcome. Meanwhile ``locks`` renews the locks from a thread of its own,
and ``stalled`` looks for the jobs of workers that died.
"""

from .worker import Worker

__all__ = ["Worker"]
