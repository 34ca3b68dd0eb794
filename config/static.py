"""Static files for daphne: WhiteNoise as a middleware that never leaves the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import isawaitable
from typing import IO, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

_PIECE = 64 * 1024  # bytes that are read, and sent, at a time


class StaticFiles(WhiteNoiseMiddleware):
    """Serves static files; answers in the event loop where the rest does.

    WhiteNoise's own middleware is for threads only. Under ASGI each request then waits in a thread
    for the event loop, and a daphne that is told to end with requests under way never does.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """The file that *request* is for, or what the rest answers."""
        answer = super().__call__(request)
        return self._awaited(answer) if iscoroutinefunction(self) else answer

    async def _awaited(self, answer: Any) -> HttpResponseBase:
        if isawaitable(answer):
            return await answer
        # Django would read the file whole, and warn that it must; the response closes it.
        answer.streaming_content = _pieces(answer.file_to_stream)
        return answer


async def _pieces(file: IO[bytes] | None) -> AsyncIterator[bytes]:
    """What *file* holds, read in threads; nothing where there is no body (HEAD, not modified)."""
    while file is not None and (piece := await asyncio.to_thread(file.read, _PIECE)):
        yield piece
