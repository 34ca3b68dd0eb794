"""The project's settings for the pictures: another app at work, in what is called production."""

import os
import socket

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS, QUEUECORE

INSTALLED_APPS = [*INSTALLED_APPS, "demo.evening"]
QUEUECORE = QUEUECORE | {
    "DASHBOARD": {"ENVIRONMENT": "Production", "ENVIRONMENT_NOTE": "eu-central"},
    "LIMITS": {"outbound": {"CONCURRENCY": 24, "MAX": 1_200, "DURATION": 60}},
}

# Pictures name no machine that they were made on.
if _host := os.environ.get("EVENING_HOST"):
    socket.gethostname = lambda: _host
