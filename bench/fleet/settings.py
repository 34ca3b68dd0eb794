"""The project's settings for measuring a fleet: as in production, with processors of the bench."""

from bench.dashboard.settings import *  # noqa: F403
from bench.dashboard.settings import INSTALLED_APPS as _APPS

# Without the demo's queues.
INSTALLED_APPS = ["bench.fleet", *(one for one in _APPS if not one.startswith("demo."))]
