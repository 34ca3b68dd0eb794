"""Everything that can be done with one job.

``job`` is the public class, and tells how a job stands. ``running`` is for whoever runs it,
``children`` for the parent of a flow, ``changing`` for everybody else. ``snapshot`` is what these
share; ``fields`` decodes what stands in the hash.
"""

from .job import Job

__all__ = ["Job"]
