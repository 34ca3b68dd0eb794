"""Workers of the queues ``email`` and ``newsletter``: a job's name is the template it sends."""

from typing import Any

from demo.email import services
from queuecore import Job, UnrecoverableError, processor


@processor("email", concurrency=5)
def send(job: Job) -> dict[str, Any]:
    """One mail: a confirmation, a password reset, an invoice that another service made."""
    return _send(job)


@processor("newsletter", concurrency=2)
def send_newsletter(job: Job) -> dict[str, Any]:
    """One copy of a campaign. The queue is paused until somebody releases the campaign."""
    return _send(job)


def _send(job: Job) -> dict[str, Any]:
    try:
        sent = services.send_mail(job.name, job.data, mail_id=f"{job.queue.name}-{job.id}")
    except services.Undeliverable as error:
        raise UnrecoverableError(str(error)) from error
    job.log(f"{sent['subject']!r} to {sent['to']}, {sent['bytes']} bytes")
    return sent
