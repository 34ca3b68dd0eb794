"""What a processor returned or raised, as an outcome for the finish script."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ..backoff import Strategy, UnknownBackoff, delay_ms
from ..errors import NotSerializable, RateLimitError, UnrecoverableError
from ..job import Job
from ..options import DEFAULT_STACK_TRACE_LIMIT, retention
from ..wire import codec
from ..wire.calls.working import Outcome

# Bytes. A result travels in the job's hash and in an event, and a server refuses calls of 512 MB.
RESULT_LIMIT = 32 * 1024 * 1024
REASON_LIMIT = 8 * 1024
STACK_LIMIT = 32 * 1024
# Stands where the middle of a long text was taken out.
_CUT = "\n... cut ...\n"
_FRAMES = 40
_OWN = str(Path(__file__).parent)


@dataclass(frozen=True, slots=True)
class Retention:
    """The retention of jobs that name none of their own, as rules of the finish script."""

    complete: str
    fail: str

    @classmethod
    def of(cls, complete: Any, fail: Any) -> Retention:
        """Make the rules of two settings: True, False, a number, :class:`Keep`, or None."""
        return cls(
            rule(retention(complete, "remove_on_complete")),
            rule(retention(fail, "remove_on_fail")),
        )


def completed(job: Job, number: int, value: Any, kept: Retention) -> Outcome:
    """The outcome of a run that returned *value*.

    Raises:
        NotSerializable: the value cannot be written as JSON, or is too large.
    """
    written = encoded(value)
    keep = job.opts.get("removeOnComplete")
    return Outcome(
        job.id,
        number,
        "c",
        written,
        rule=kept.complete if keep is None else rule(keep),
        attempts=str(job.attempts_made + 1),
    )


def failed(
    job: Job, number: int, error: BaseException, kept: Retention, strategy: Strategy | None
) -> Outcome:
    """The outcome of a run that raised *error*: a further try, or the job's failure."""
    made = job.attempts_made + 1
    attempts = _whole(job.opts.get("attempts"))
    stack = _stacktrace(job, error)
    # A repeat of the whole job would repeat its side effects only to fail at the same place.
    final = isinstance(error, UnrecoverableError | NotSerializable) or made >= attempts
    if not final:
        try:
            delay = delay_ms(job.opts.get("backoff"), made, error, job, strategy)
        except BaseException as broken:
            # No strategy, or the user's strategy itself raised: the job's own error comes first.
            text = f"{reason(error)} (no further try: {reason(broken)})"
            return _final(job, number, text, stack, kept, made, attempts)
        if delay > 0:
            return Outcome(job.id, number, "d", reason(error), stack, str(delay), str(made))
        if delay == 0:
            lifo = "lifo" if job.opts.get("lifo") else ""
            return Outcome(job.id, number, "r", reason(error), stack, lifo, str(made))
    return _final(job, number, reason(error), stack, kept, made, attempts)


def put_back(job: Job, number: int) -> Outcome:
    """The outcome of a run that was not one: the job waits again, as the next to run."""
    return Outcome(job.id, number, "w")


def limited(job: Job, number: int) -> Outcome:
    """The outcome of a run that met a rate limit: back to waiting, and this worker stops for it."""
    return Outcome(job.id, number, "w", rule="limited")


def postponed(job: Job, number: int, delay: float) -> Outcome:
    """The outcome of a run that was not one: the job comes back in *delay* seconds."""
    return Outcome(job.id, number, "p", rule=str(round(delay * 1000)))


def is_rate_limit(error: BaseException) -> bool:
    """Whether *error* is the control error by which a processor says that its queue is limited."""
    if isinstance(error, RateLimitError):
        return True
    if type(error) is not Exception or len(error.args) != 1:
        return False
    (text,) = error.args  # anything, which need not even take to being compared
    return isinstance(text, str) and text == RateLimitError.WIRE_MESSAGE


def rule(keep: Any) -> str:
    """BullMQ's retention option as the finish script's rule.

    ``""`` keeps all, ``"0"`` none, ``"count,age,limit"`` some. What is malformed keeps all.
    """
    if keep is True:
        return "0"
    if isinstance(keep, dict):
        count, age, limit = (keep.get(name) for name in ("count", "age", "limit"))
        if _is_number(count) and count == 0:
            return "0"
        parts = ",".join(str(_whole(n)) if _is_number(n) else "" for n in (count, age, limit))
        return "" if parts == ",," else parts
    if _is_number(keep):
        return f"{int(keep)},," if keep >= 1 else "0"
    return ""


def reason(error: BaseException) -> str:
    """The message of *error*, or its class where it has none; valid text of at most 8 KB."""
    name = type(error).__name__
    try:
        message = str(error) or name
    except BaseException:  # its own code, which may do anything
        message = f"{name} (its message cannot be read)"
    if isinstance(error, KeyError):
        message = f"{name}: {message}"  # the bare key explains nothing
    return _cut(message, REASON_LIMIT)


def is_printable(error: BaseException) -> bool:
    """Whether a log handler can write the traceback of *error*: valid text, not endless."""
    try:
        return len("".join(traceback.format_exception(error)).encode()) <= STACK_LIMIT
    except BaseException:  # the error's own code, which may do anything, or a lone surrogate
        return False


def encoded(value: Any) -> bytes:
    """*value* as the JSON of a result.

    Raises:
        NotSerializable: it cannot be written as JSON, or is too large.
    """
    if value is None:
        return b"null"
    try:
        written = codec.dumps(value, "the result")
    except NotSerializable:
        raise
    except Exception as broken:  # the result's own code, such as a property
        raise NotSerializable(
            f"the result cannot be written as JSON: {type(broken).__name__}: {reason(broken)}"
        ) from broken
    if len(written) > RESULT_LIMIT:
        raise NotSerializable(
            f"the result is {len(written) / 2**20:.1f} MB of JSON, more than "
            f"{RESULT_LIMIT // 2**20} MB; store it elsewhere and return its key"
        )
    return written


def _final(
    job: Job,
    number: int,
    text: str,
    stack: bytes,
    kept: Retention,
    made: int,
    attempts: int,
) -> Outcome:
    keep = job.opts.get("removeOnFail")
    which = kept.fail if keep is None else rule(keep)
    exhausted = "!" if made >= attempts else ""
    return Outcome(job.id, number, "f", text, stack, which, f"{made}{exhausted}")


def _stacktrace(job: Job, error: BaseException) -> bytes:
    """The job's tracebacks and this one, as the JSON array that BullMQ keeps."""
    limit = job.opts.get("stackTraceLimit")
    limit = _whole(limit) if limit is not None else DEFAULT_STACK_TRACE_LIMIT
    if limit == 0:
        return b"[]"
    traces = [*job.stacktrace, trace(error)][-limit:]
    return codec.dumps([_cut(one, STACK_LIMIT) for one in traces])


def trace(error: BaseException) -> str:
    """The traceback of *error*; that of a sandbox's, where it comes from one."""
    if isinstance(theirs := getattr(error, "sandbox_trace", None), str):
        return _cut(theirs, STACK_LIMIT)
    try:
        # Without values of local variables: they may hold secrets.
        told = traceback.TracebackException(type(error), error, _theirs(error), limit=-_FRAMES)
        return _cut("".join(told.format()), STACK_LIMIT)
    except BaseException:  # the error's own code, which may do anything
        return f"{type(error).__name__}: {reason(error)} (its traceback cannot be read)"


def _theirs(error: BaseException) -> TracebackType | None:
    """The traceback of *error* without the worker's own frames, which say nothing."""
    found = error.__traceback__
    while found is not None and found.tb_frame.f_code.co_filename.startswith(_OWN):
        found = found.tb_next
    return found


def _cut(message: str, limit: int) -> str:
    """*message* as valid text of at most *limit* bytes: all of it, or its beginning and its end."""
    if len(message) > 2 * limit:
        message = message[:limit] + message[-limit:]
    encoded = message.encode("utf-8", "backslashreplace")
    if len(encoded) <= limit:
        return encoded.decode()
    half = limit // 2 - 20
    first, last = (part.decode("utf-8", "ignore") for part in (encoded[:half], encoded[-half:]))
    return f"{first}{_CUT}{last}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def _whole(value: Any) -> int:
    return int(value) if _is_number(value) else 0


__all__ = [
    "Retention",
    "UnknownBackoff",
    "completed",
    "failed",
    "is_printable",
    "is_rate_limit",
    "limited",
    "postponed",
    "put_back",
    "reason",
    "rule",
]
