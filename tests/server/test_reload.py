"""``runworker --reload``: a change of the project's code, while a job runs, too."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from queuecore import Queue
from tests import invariants
from tests.machine import ROOT
from tests.server.processes import WARNINGS, Worker
from tests.servers import Server

SETTINGS = """
SECRET_KEY, DEBUG, USE_TZ = "x", True, True
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "queuecore", "shop"]
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
QUEUECORE = {"CONNECTIONS": {"default": {"URL": %r}}}
"""
SLOW = """
import time
from queuecore import processor

@processor("q", concurrency=1)
def work(job):
    time.sleep(300)
"""
QUICK = """
import os
from django.template.loader import render_to_string
from queuecore import processor

@processor("q")
def work(job):
    return [os.getppid(), os.getpid(), render_to_string("word.txt")]
"""


@pytest.fixture
def project(tmp_path: Path, server: Server) -> Path:
    """A project with an app that has a processor and a template."""
    folder = tmp_path / "project"
    templates = folder / "shop" / "templates"
    templates.mkdir(parents=True)
    (folder / "site_settings.py").write_text(SETTINGS % server.url)
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "processors.py").write_text(SLOW)
    (templates / "word.txt").write_text("one")
    return folder


@pytest.fixture
def worker(project: Path, tmp_path: Path) -> Iterator[Worker]:
    """Its worker, started as ``python -m django``, with DEBUG alone asking for the reload."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "site_settings",
        "PYTHONPATH": f"{project}{os.pathsep}{ROOT}",
    }
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, *WARNINGS, "-m", "django", "runworker", "--skip-checks"],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
        )
        yield Worker(process, log)
        process.kill()
        process.wait()


def test_new_code_takes_the_job_that_the_old_one_ran(
    project: Path, worker: Worker, redis_client: redis.Redis
) -> None:
    code = project / "shop" / "processors.py"
    queue = Queue("q")
    job = queue.add("x")
    worker.until(lambda: queue.get_job_state(job.id) == "active", 30)

    code.write_text(SLOW + "this is no Python")
    worker.until(lambda: "it starts again when a file changes" in worker.said, 30)
    assert "handed back 1 running jobs" in worker.said
    assert "processors.py:8" in worker.said  # where the fault is
    assert queue.get_job_state(job.id) == "waiting"

    code.write_text(QUICK)
    parent, pid, word = job.result(30)  # type: ignore[misc]
    assert (parent, word) == (worker.process.pid, "one")
    job.refresh()
    assert (job.attempts_started, job.attempts_made, job.stalled_counter) == (2, 1, 0)

    # Django deals with a template in the process that has loaded it.
    (project / "shop" / "templates" / "word.txt").write_text("another")
    worker.until(lambda: queue.add("x").result(10)[2] == "another", 30)  # type: ignore[index]
    assert queue.add("x").result(10)[1] == pid  # type: ignore[index]

    worker.tell(signal.SIGTERM)
    assert worker.ends(30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    invariants.check(redis_client, "q", idle=True)
