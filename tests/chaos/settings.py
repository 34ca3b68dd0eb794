"""Settings of the fault tests' worker processes: short locks, so that recovery takes no minute."""

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import QUEUECORE

# Only what a worker needs: it is started again and again.
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "queuecore",
    "tests.chaos",
]
ROOT_URLCONF = "tests.chaos.settings"
urlpatterns: list[object] = []

WORKER = {
    "CONCURRENCY": 20,
    "LOCK_DURATION": 1.5,
    "STALLED_INTERVAL": 0.5,
    "SHUTDOWN_TIMEOUT": 3,
    "DRAIN_DELAY": 1,
}
QUEUECORE = QUEUECORE | {
    "WORKER": WORKER | json.loads(os.environ.get("QUEUECORE_TEST_WORKER", "{}"))
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"queuecore": {"handlers": ["stderr"], "level": "INFO"}},
}
