"""A record of every run, kept in a file: what the server under fault loses, this still knows."""

import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "QUEUECORE_TEST_LEDGER"


@dataclass(slots=True)
class Run:
    """One run of a job: the process and the times (monotonic seconds); ``end`` None if it died."""

    pid: int
    start: float
    end: float | None = None


class Ledger:
    """One line a start and an end; short writes to a file opened for appending are atomic."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @classmethod
    def of_this_process(cls) -> "Ledger":
        """The ledger that a test named to its worker processes."""
        return cls(Path(os.environ[VARIABLE]))

    def note(self, what: str, job_id: str) -> None:
        """Write one line: ``what`` is ``start`` or ``end``."""
        line = f"{what} {job_id} {os.getpid()} {time.monotonic():.6f}\n"
        os.write(self._file, line.encode())

    def runs(self) -> dict[str, list[Run]]:
        """All runs so far, by job id, in order."""
        runs: dict[str, list[Run]] = defaultdict(list)
        for line in self.path.read_text().splitlines():
            what, job_id, pid, when = line.split(" ")
            if what == "start":
                runs[job_id].append(Run(int(pid), float(when)))
            else:
                # The newest run of this process that has not ended yet.
                run = next(
                    one for one in reversed(runs[job_id]) if one.pid == int(pid) and one.end is None
                )
                run.end = float(when)
        return dict(runs)

    def ends(self) -> int:
        """How many runs have ended, without parsing them."""
        return self.path.read_bytes().count(b"end ")

    def close(self) -> None:
        os.close(self._file)
