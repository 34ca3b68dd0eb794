"""A queue with a sandbox, in which its tasks run, too."""

from queuecore import Job, processor


@processor("default", name="boxed", sandbox=True, concurrency=1)
def boxed(job: Job) -> None: ...
