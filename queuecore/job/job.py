"""Job: one job of a queue, as its hash in Redis says, and what can be done with it.

A `Job` is a snapshot; methods that change the job on the server update the snapshot too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from ..errors import JobFailed, JobNotFound
from ..options import Seconds, milliseconds
from ..wire.calls import reading
from ..wire.calls.base import Operation
from ..wire.calls.waiting import wait_until_finished
from ..wire.codec import loads
from .changing import Changing
from .children import Children
from .running import Running

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from ..payloads import Payload

    P = TypeVar("P", default=Any)
else:
    from typing import TypeVar

    P = TypeVar("P")


class Job(Running, Children, Changing, Generic[P]):
    """One job; made by ``Queue.add``, ``Queue.get_job`` and the worker, not by hand.

    ``queue``: its :class:`Queue`. ``id``: its id, text. ``token``: the lock's token while this
    process runs it, else empty; a move of the job gives it up. Each method exists twice, ``log``
    and ``alog``, from one implementation.

    How it stands and what became of it is here, the rest in :class:`Running`, :class:`Children`
    and :class:`Changing`. ``Job[Welcome]`` is one whose :attr:`payload` is a ``Welcome``.
    """

    # The type of its data, as its worker knows it; and the text that was read as that, with what
    # came of it. Not there before they are asked for.
    __slots__ = ("_declared", "_read")

    @property
    def payload(self) -> P:
        """The data as the type that its processor declares; the data itself where none does.

        Raises:
            InvalidPayload: the data is not of that type; the text names the fields.
        """
        text = self._fields.get(b"data") or b"null"
        read: tuple[bytes, P] | None = getattr(self, "_read", None)
        if read is None or read[0] is not text:
            declared = self._payload_type()
            if declared is None:
                return self.data  # type: ignore[no-any-return]
            read = self._read = (text, declared.read(text, self.name, self.queue.name))
        return read[1]

    def _payload_type(self) -> Payload | None:
        declared: Payload | None = getattr(self, "_declared", None)
        if declared is None:
            from ..processors import payload_of  # which knows jobs

            declared = payload_of(self.queue.alias, self.queue.name, self.name)
        return declared

    def _expect(self, declared: Payload) -> None:
        """Read the data as *declared*, before it runs."""
        self._declared = declared
        _ = self.payload

    def refresh(self) -> None:
        """Read the job again.

        Raises:
            JobNotFound: it was deleted.
        """
        self.queue._run(self._refresh())

    async def arefresh(self) -> None:
        """See :meth:`refresh`."""
        await self.queue._arun(self._refresh())

    def result(self, timeout: Seconds | None = None) -> Any:
        """Wait until the job is finished and return what it returned (``waitUntilFinished``).

        Args:
            timeout: seconds (or a timedelta) to wait at most; None waits as long as it takes.

        Raises:
            JobFailed: it failed; the message is its failed reason.
            TimeoutError: it is not finished yet.
            JobNotFound: it was deleted.
        """
        return self.queue._run(self._result(timeout))

    async def aresult(self, timeout: Seconds | None = None) -> Any:
        """See :meth:`result`."""
        return await self.queue._arun(self._result(timeout))

    def get_state(self) -> str:
        """The state it is in now; ``unknown`` if it stands nowhere (BullMQ ``getState``)."""
        return self.queue._run(reading.get_state(self.queue.keys, self.id))

    async def aget_state(self) -> str:
        """See :meth:`get_state`."""
        return await self.queue._arun(reading.get_state(self.queue.keys, self.id))

    def is_completed(self) -> bool:
        """Whether it is completed now (BullMQ ``isCompleted``)."""
        return self.queue._run(self._is("completed"))

    async def ais_completed(self) -> bool:
        """See :meth:`is_completed`."""
        return await self.queue._arun(self._is("completed"))

    def is_failed(self) -> bool:
        """Whether it is failed now (BullMQ ``isFailed``)."""
        return self.queue._run(self._is("failed"))

    async def ais_failed(self) -> bool:
        """See :meth:`is_failed`."""
        return await self.queue._arun(self._is("failed"))

    def is_delayed(self) -> bool:
        """Whether it is delayed now (BullMQ ``isDelayed``)."""
        return self.queue._run(self._is("delayed"))

    async def ais_delayed(self) -> bool:
        """See :meth:`is_delayed`."""
        return await self.queue._arun(self._is("delayed"))

    def is_active(self) -> bool:
        """Whether it is active now (BullMQ ``isActive``)."""
        return self.queue._run(self._is("active"))

    async def ais_active(self) -> bool:
        """See :meth:`is_active`."""
        return await self.queue._arun(self._is("active"))

    def is_waiting(self) -> bool:
        """Whether it is waiting now (BullMQ ``isWaiting``)."""
        return self.queue._run(self._is("waiting"))

    async def ais_waiting(self) -> bool:
        """See :meth:`is_waiting`."""
        return await self.queue._arun(self._is("waiting"))

    def is_waiting_children(self) -> bool:
        """Whether it is waiting-children now (BullMQ ``isWaitingChildren``)."""
        return self.queue._run(self._is("waiting-children"))

    async def ais_waiting_children(self) -> bool:
        """See :meth:`is_waiting_children`."""
        return await self.queue._arun(self._is("waiting-children"))

    def get_logs(self, start: int = 0, end: int = -1, asc: bool = True) -> tuple[list[str], int]:
        """Rows *start* to *end* of the log, and how many there are; not *asc*: newest first."""
        return self.queue._run(self.queue._get_job_logs(self.id, start, end, asc))

    async def aget_logs(
        self, start: int = 0, end: int = -1, asc: bool = True
    ) -> tuple[list[str], int]:
        """See :meth:`get_logs`."""
        return await self.queue._arun(self.queue._get_job_logs(self.id, start, end, asc))

    # The operations

    def _refresh(self) -> Operation[None]:
        fields = yield reading.get_job(self.queue.keys, self.id)
        if fields is None:
            raise JobNotFound(f"there is no job {self.id} in queue {self.queue.name} any more")
        self._take(fields)

    def _result(self, timeout: Seconds | None) -> Operation[Any]:
        seconds = None if timeout is None else milliseconds(timeout, "timeout") / 1000
        ended = yield from wait_until_finished(self.queue.keys, self.id, seconds)
        if ended is None:
            raise TimeoutError(
                f"job {self.id} of queue {self.queue.name} is not finished after {seconds:g} s"
            )
        state, value = ended
        if state == "failed":
            raise JobFailed(value)
        return loads(value) if value else None

    def _is(self, state: str) -> Operation[bool]:
        found: str = yield reading.get_state(self.queue.keys, self.id)
        return found == state
