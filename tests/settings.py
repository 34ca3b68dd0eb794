"""The project's settings for tests: a private server, a private database, nothing in .queuecore."""

import atexit
import os
import shutil

from tests.servers import private_folder

# Before the project's settings: what they read must not come from this machine.
os.environ["DJANGO_DEBUG"] = "1"
os.environ["DJANGO_SECRET_KEY"] = "only for tests"
for name in (
    "DATABASE_URL",
    "DATABASE_CONN_MAX_AGE",
    "DJANGO_ALLOWED_HOSTS",
    "DJANGO_TRUSTED_ORIGINS",
    "DJANGO_BEHIND_TLS",
    "DJANGO_PROXIES",
):
    os.environ.pop(name, None)

# A process that a test starts gets QUEUECORE_TEST_HOME, _DATABASE and _URL from the fixture
# `child_environment`; pytest itself makes a folder of its own, short because of the socket in it.
if not os.environ.get("QUEUECORE_TEST_HOME"):
    _home = str(private_folder())
    _owner = os.getpid()

    def _remove() -> None:
        if os.getpid() == _owner:
            shutil.rmtree(_home, ignore_errors=True)

    atexit.register(_remove)
else:
    _home = os.environ["QUEUECORE_TEST_HOME"]
os.environ["QUEUECORE_HOME"] = _home

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASES, INSTALLED_APPS, QUEUECORE  # noqa: E402

# It is there for `runserver` alone, and costs each process that a test starts a third of a second.
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "daphne"]
# Each test's client makes the middleware anew: it must not look through all static files for that.
WHITENOISE_AUTOREFRESH = True
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

_database = DATABASES["default"]
if _name := os.environ.get("QUEUECORE_TEST_DATABASE"):
    _database["NAME"] = _name
else:
    # A file, not memory: threads and the processes that a test starts see the same rows.
    _database["TEST"] = {"NAME": f"{_home}/test.sqlite3"}

# Nothing in it has to outlive a power cut, which each test would wait for.
_database["OPTIONS"]["init_command"] += " PRAGMA synchronous=OFF;"

# The fixture `server` starts the server of this socket; a test without it has none.
SERVER_FOLDER = f"{_home}/server"
SERVER_URL = os.environ.get("QUEUECORE_TEST_URL") or f"unix://{SERVER_FOLDER}/s"
# BullMQ's own defaults: tests count finished jobs and compare options with Node's.
QUEUECORE = QUEUECORE | {
    "CONNECTIONS": {"default": {"URL": SERVER_URL}},
    "DEFAULT_JOB_OPTIONS": {},
    # No request of a test may leave a thread behind that counts queues once a second.
    "DASHBOARD": {"COLLECT": False},
}
if _prefix := os.environ.get("QUEUECORE_TEST_PREFIX"):
    QUEUECORE["CONNECTIONS"]["default"]["PREFIX"] = _prefix
if _telemetry := os.environ.get("QUEUECORE_TEST_TELEMETRY"):
    QUEUECORE["TELEMETRY"] = _telemetry
