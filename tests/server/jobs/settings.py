"""Settings of the worker processes that the tests of ``runworker`` start."""

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import QUEUECORE, SERVER_URL

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "queuecore",
    *json.loads(os.environ.get("QUEUECORE_TEST_APPS", '["tests.server.jobs"]')),
]
ROOT_URLCONF = "tests.server.jobs.settings"
urlpatterns: list[object] = []
QUEUECORE = QUEUECORE | {
    "CONNECTIONS": QUEUECORE["CONNECTIONS"] | {"other": {"URL": SERVER_URL, "PREFIX": "second"}},
    "WORKER": {"DRAIN_DELAY": 1} | json.loads(os.environ.get("QUEUECORE_TEST_WORKER", "{}")),
}
QUEUECORE["LIMITS"] = json.loads(os.environ.get("QUEUECORE_TEST_LIMITS", "{}"))
if tasks := os.environ.get("QUEUECORE_TEST_TASKS"):
    TASKS = {"default": {"BACKEND": "queuecore.tasks.QueueCoreBackend"} | json.loads(tasks)}
LOGGING_CONFIG = None  # as in a project that sets nothing up
