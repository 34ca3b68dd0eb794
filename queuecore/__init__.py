"""BullMQ for Django: queues, workers and events on Redis, in BullMQ's own format.

These are the public names; everything else may change.
"""

from .callables import Processor, named
from .errors import (
    DelayedError,
    GroupMaxSizeExceeded,
    InvalidPayload,
    JobCancelled,
    JobFailed,
    QueueCoreError,
    RateLimitError,
    UnrecoverableError,
    WaitingChildrenError,
    WaitingError,
)
from .events import Event, QueueEvents, QueueEventsProducer
from .flow import FlowJob, FlowProducer
from .job import Job
from .limits import Limit
from .options import Backoff, Batch, Deduplication, Group, GroupLimits, JobSpec, Keep, RateLimit
from .processors import processor
from .queue import Queue
from .services import provide
from .worker import Worker

__version__ = "0.1.0"

__all__ = [
    "Backoff",
    "Batch",
    "Deduplication",
    "DelayedError",
    "Event",
    "FlowJob",
    "FlowProducer",
    "Group",
    "GroupLimits",
    "GroupMaxSizeExceeded",
    "InvalidPayload",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobSpec",
    "Keep",
    "Limit",
    "Processor",
    "Queue",
    "QueueCoreError",
    "QueueEvents",
    "QueueEventsProducer",
    "RateLimit",
    "RateLimitError",
    "UnrecoverableError",
    "WaitingChildrenError",
    "WaitingError",
    "Worker",
    "named",
    "processor",
    "provide",
]
