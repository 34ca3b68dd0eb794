"""Signs: where a worker shows how it is, as its options say: a file, a port, its supervisor."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from ..errors import ConfigurationError
from ..worker import Worker
from ..worker.child import Supervised
from ..worker.health import HealthFile, Report, Tell, watch
from .port import Port


class Signs:
    """The signs that the options of ``runworker`` ask for.

    ``tell`` takes each report and shows it; None where nobody asks for one.

    Args:
        supervised: a child shows nothing itself, and tells its supervisor.
        alone: this process works jobs itself.

    Raises:
        ConfigurationError: there is no such folder, or nobody can listen on that port.
    """

    def __init__(
        self, options: dict[str, Any], supervised: Supervised | None, *, alone: bool
    ) -> None:
        self.tell: Tell | None = None
        self._file: HealthFile | None = None
        self._port: Port | None = None
        path, port = options["health_file"], options["metrics_port"]
        if path is None and port is None:
            return
        if supervised is not None:
            self.tell = lambda report: supervised.say({"health": report})
            return
        self.tell = self._show
        if path is not None:
            if not path.absolute().parent.is_dir():
                raise ConfigurationError(f"--health-file: there is no folder {path.parent}")
            self._file = HealthFile(path.absolute())
        if port is not None:
            self._port = _port(options["metrics_host"], port, supervised=not alone)
            self._port.start()

    async def watch(self, workers: Sequence[Worker]) -> None:
        """Show how this process is, until it ends."""
        assert self.tell is not None
        with self:
            await watch(workers, self.tell)

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.remove()

    def _show(self, report: Report) -> None:
        if self._file is not None:
            self._file.tell(report)
        if self._port is not None:
            self._port.tell(report)


def _port(host: str, port: int, *, supervised: bool) -> Port:
    try:
        from ..contrib.prometheus import worker_metrics
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("prometheus_client"):
            raise
        raise ConfigurationError(
            "--metrics-port needs prometheus-client: pip install 'django-queuecore[prometheus]'"
        ) from error
    return Port(host, port, lambda report: worker_metrics(report, supervised=supervised))
