"""Output: what a sandbox prints, line by line and never more than anybody would read."""

from __future__ import annotations

import asyncio
import contextlib
import os

# Of one job, in lines and bytes.
_MOST_LINES, _MOST_BYTES, _LONGEST_LINE = 200, 64 * 1024, 4096
_CHUNK = 64 * 1024


class Output:
    """Reads a pipe as fast as it is written to, and keeps its beginning for :meth:`take`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._read)
        self._open = True
        self._begin()

    def _begin(self) -> None:
        self._lines: list[str] = []
        self._kept = self._dropped = 0
        self._part = b""
        self._whole = True

    def _read(self) -> bool:
        """Take what is there; whether there may be more."""
        try:
            chunk = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""
        if not chunk:
            self._loop.remove_reader(self._descriptor)
            self._open = False
            return False
        *lines, part = chunk.split(b"\n")
        for line in lines:
            self._line(self._part + line)
            self._part, self._whole = b"", True
        if len(self._part) < _LONGEST_LINE:
            self._part += part[:_LONGEST_LINE]
        return True

    def _line(self, line: bytes) -> None:
        if len(self._lines) >= _MOST_LINES or self._kept >= _MOST_BYTES:
            self._dropped += 1
            return
        text = line[:_LONGEST_LINE].decode("utf-8", "backslashreplace").rstrip("\r")
        self._lines.append(text)
        self._kept += len(line)

    def take(self) -> list[str]:
        """The lines since the last time, with a word on those that were dropped."""
        for _ in range(64):  # what was printed before the job's answer is in the pipe by now
            if not self._open or not self._read():
                break
        if self._part:
            self._line(self._part)
        lines, dropped = self._lines, self._dropped
        self._begin()
        if dropped:
            lines.append(f"... and {dropped} more lines, which were dropped")
        return lines

    def close(self) -> None:
        """Read no more."""
        if self._open:
            self._loop.remove_reader(self._descriptor)
            self._open = False
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
