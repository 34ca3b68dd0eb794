"""Settings of the fault tests' worker processes: short locks, so that recovery takes no minute."""

import json
import os

from config import environment
from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, QUEUECORE

# Only what a worker needs: it is started again and again.
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "queuecore",
    "tests.chaos",
]
ROOT_URLCONF = "tests.chaos.settings"
urlpatterns: list[object] = []

if _postgres := os.environ.get("QUEUECORE_TEST_POSTGRES_URL"):
    _keep = int(os.environ.get("QUEUECORE_TEST_KEEP", "0"))
    # Django's own default: nobody but the worker tries a connection before it is used.
    DATABASES = {"default": environment.database(_postgres, _keep) | {"CONN_HEALTH_CHECKS": False}}

WORKER = {
    "CONCURRENCY": 20,
    "LOCK_DURATION": 1.5,
    "STALLED_INTERVAL": 0.5,
    "SHUTDOWN_TIMEOUT": 3,
    "DRAIN_DELAY": 1,
}
QUEUECORE = QUEUECORE | {
    "WORKER": WORKER | json.loads(os.environ.get("QUEUECORE_TEST_WORKER", "{}")),
    "OUTBOX": json.loads(os.environ.get("QUEUECORE_TEST_OUTBOX", "{}")),
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"queuecore": {"handlers": ["stderr"], "level": "INFO"}},
}
