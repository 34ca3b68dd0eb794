"""Playwright from a thread of its own.

Its blocking interface leaves an event loop running in the thread that uses it, where neither
Django nor a queue may be used blocking. So its async interface runs in another thread, and tests
hold stand-ins whose every call waits for that one.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

from playwright import async_api


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call *function* in the loop, await what it returns, and return that, wrapped."""

        async def run() -> Any:
            result = function(*map(bare, args), **{k: bare(v) for k, v in options.items()})
            return await result if inspect.isawaitable(result) else result

        return self.wrap(asyncio.run_coroutine_threadsafe(run(), self._loop).result())

    def wrap(self, value: Any) -> Any:
        """A stand-in for Playwright's own objects; everything else as it is."""
        if isinstance(value, list):
            return [self.wrap(one) for one in value]
        ours = type(value).__module__.startswith("playwright.")
        return Remote(self, value) if ours and not isinstance(value, dict | Exception) else value

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Remote:
    """A stand-in for one object of Playwright's async interface."""

    def __init__(self, loop: Loop, thing: Any) -> None:
        self._loop, self._thing = loop, thing

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._thing, name)
        if not callable(value):
            return self._loop.wrap(value)
        return lambda *args, **options: self._loop.call(value, *args, **options)

    def __repr__(self) -> str:
        return repr(self._thing)


def bare(value: Any) -> Any:
    """The object behind a stand-in."""
    return value._thing if isinstance(value, Remote) else value


# Other tests share the machine, so what is waited for may take its time.
async_api.expect.set_options(timeout=20_000)


def expect(target: Remote) -> Any:
    """Playwright's assertions, which wait until they hold."""
    return Remote(target._loop, async_api.expect(target._thing))
