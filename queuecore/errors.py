"""Every exception queuecore raises, and the control errors a processor may raise.

Each message says what happened and what to do. Control errors (:class:`UnrecoverableError`,
:class:`DelayedError`, ...) carry BullMQ's names: they are how a processor tells the worker that a
run did not simply succeed or fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class QueueCoreError(Exception):
    """The base of every error that queuecore raises on purpose."""


class ConfigurationError(QueueCoreError):
    """A setting, a processor or a command-line option is wrong; the text names it and the cure."""


class InvalidOption(QueueCoreError, ValueError):
    """A job option, name or id was refused before anything was sent."""


class NotSerializable(QueueCoreError, ValueError):
    """A payload or a result cannot be written as JSON that every BullMQ client can read."""


class SynchronousCall(QueueCoreError, RuntimeError):
    """A blocking method was called inside a running event loop; the text names its async twin."""


class ServerUnavailable(QueueCoreError, ConnectionError):
    """The server cannot be reached, or refuses work for now.

    Whether a write that raised this was carried out is unknown unless ``sent`` is false.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class ServerRefused(ServerUnavailable):
    """The server answered with a passing error (full, loading, read-only, ...): nothing was done.

    ``code`` is the first word of the server's answer, such as ``OOM`` or ``READONLY``.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, sent=False)
        self.code = code


class NotReplicated(ServerUnavailable):
    """Jobs were added, but fewer replicas than ``WAIT_REPLICAS`` acknowledged it in time."""


class ScriptError(QueueCoreError):
    """A script failed on the server; the text names the script, its file and line."""


class JobNotFound(QueueCoreError, LookupError):
    """There is no job of this id in the queue (BullMQ's code -1)."""


class LockLost(QueueCoreError):
    """The job's lock is missing or is held by another worker (BullMQ's codes -2 and -6)."""


class JobNotInState(QueueCoreError):
    """The job is not in the state that the operation needs (BullMQ's code -3)."""


class DataChanged(QueueCoreError):
    """The job's data is no longer what it was when it was read; nothing was written."""


class JobIsLocked(QueueCoreError):
    """A worker is running the job, so it cannot be removed now."""


class QueueNotPaused(QueueCoreError):
    """Obliterating needs a paused queue (BullMQ's code -1 of obliterate)."""


class QueueHasActiveJobs(QueueCoreError):
    """Obliterating needs a queue without active jobs, or ``force=True``."""


class PendingChildren(QueueCoreError):
    """The job still has unfinished children (BullMQ's code -4)."""


class FailedChildren(QueueCoreError):
    """The job has failed children, so it cannot complete (BullMQ's code -9)."""


class ParentNotFound(QueueCoreError, LookupError):
    """The job that was to be the parent does not exist (BullMQ's code -5); nothing was added."""


class ParentConflict(QueueCoreError):
    """A job that exists cannot become the child: another job waits for it (BullMQ's code -7), or it
    waits for the parent itself; nothing was added."""


class GroupMaxSizeExceeded(QueueCoreError):
    """As many jobs wait in the group as its ``max_size`` allows; nothing was added."""


class LimitNotFound(QueueCoreError, LookupError):
    """There is no named limit of this name, neither in the server nor in the settings."""


class OutboxTaken(QueueCoreError):
    """Another relay moves the rows of this queue's outbox by now; nothing was added."""


class PendingSchedulerRun(QueueCoreError):
    """The job is a scheduler's next run; remove or change the scheduler (BullMQ's code -8)."""


class SchedulerBusy(QueueCoreError):
    """A scheduler finds no moment for its next run: jobs of the next ones are there already."""


class SchedulerNotFound(QueueCoreError, LookupError):
    """There is no scheduler of this id in the queue, or it is not paused as it should be."""


class UnknownCode(QueueCoreError):
    """A script answered a code that this version does not know."""


class JobFailed(QueueCoreError):
    """The job whose result was awaited failed; the message is its failed reason."""


class JobCancelled(QueueCoreError):
    """The job was cancelled while it ran, by ``Worker.cancel_job``; the message is the reason."""


class JobTimedOut(QueueCoreError):
    """The job ran longer than its timeout; what that could end says ``timeout`` of a processor."""


class SandboxedError(QueueCoreError):
    """What a processor raised in its sandbox; the message is the error's own.

    ``kind``: the name of its class there.
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class SandboxBroken(QueueCoreError):
    """No sandbox can be started for the job; the message says why."""


class SandboxDied(QueueCoreError):
    """The sandbox of the job ended in the middle of it: killed, crashed, or left by its code."""


class UnrecoverableError(QueueCoreError):
    """Raise it in a processor to fail the job at once, whatever attempts are left."""


class JobExpired(UnrecoverableError):
    """The job was not started in time; see ``expires`` of the job options."""


class InvalidPayload(UnrecoverableError, InvalidOption):
    """The data of a job is not of the type that its processor declares; the text names the fields.

    Nothing was added; a job that was added elsewhere has failed, and is not tried again.
    """


class DelayedError(QueueCoreError):
    """Raise it in a processor after moving its job to delayed: nothing more is to be done."""


class WaitingError(QueueCoreError):
    """Raise it in a processor after moving its job back to waiting: nothing more is to be done."""


class WaitingChildrenError(QueueCoreError):
    """Raise it in a processor after its job was moved to wait for its children."""


class RateLimitError(QueueCoreError):
    """Raise it in a processor after limiting the queue: the job goes back and is not counted."""

    # BullMQ's clients know the error by this text, whatever class it has.
    WIRE_MESSAGE = "bullmq:rateLimitExceeded"

    def __init__(self, message: str = WIRE_MESSAGE) -> None:
        super().__init__(message)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known word nearest to *word*, or an empty string."""
    close = get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
