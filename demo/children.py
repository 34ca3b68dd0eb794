"""The demo's processes: each in a session of its own, each stopped for sure."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOG_LIMIT = 5_000_000  # bytes; a larger log is set aside at the next start


class Failure(Exception):
    """The demo cannot go on; the text is one line that says what happened and what to do."""


class Child:
    """One process: *name* for people, its *log*, and the seconds it gets to end by itself."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        patience: float,
    ) -> None:
        # Not at the top: before run.py has looked, a package may be missing that queuecore needs.
        from queuecore.wire.launcher import end_with_parent

        self.name = name
        self.log = log
        self.patience = patience
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            self._log_begin = output.tell()
            # Of its own session, so that Ctrl-C reaches only who stops them in order; and where
            # that one is killed, the kernel tells the child to end.
            self.process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent(),
            )

    def check(self) -> None:
        """Raise Failure if it has ended, with the last line of its log."""
        code = self.process.poll()
        if code is None:
            return
        with self.log.open("rb") as log:
            log.seek(self._log_begin)
            lines = log.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        raise Failure(f"The {self.name} ended (code {code}): {last} (log: {self.log})")

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Ask it to end, wait, and kill what is left: when its patience or ours has run out."""
        if self.process.poll() is None:
            self.process.terminate()
        deadline = time.monotonic() + self.patience
        while self.process.poll() is None and time.monotonic() < deadline and not hurry():
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # it, or children that it left behind
        self.process.wait()


class EmbeddedServer:
    """The project's embedded server: this process holds it, too, and lets it go as the last."""

    def __init__(self, project_dir: Path) -> None:
        self.project_dir = project_dir

    def start(self) -> str:
        """Start it, if nobody has; return its address."""
        from queuecore.wire import embedded

        return embedded.ensure(self.project_dir)

    def check(self) -> None:
        """Nothing to do: whoever loses it starts it again."""

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Let it go, and wait until it has written its data and ended."""
        from queuecore.wire import embedded

        if embedded.is_held(self.project_dir) and not embedded.leave(self.project_dir):
            print("The embedded server runs on: another process still uses it.", flush=True)
