"""Dockerfile and compose.yaml: what they promise, and their steps and commands really run.

No container engine is needed. The Dockerfile's steps run in an empty folder that stands for the
image's root, with a virtual environment of its own; its commands run as a user without rights.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.machine import ROOT
from tests.servers import Server

UNTIL_IT_SERVES = 60

SEND_A_MAIL = """
import django; django.setup()
from queuecore import Queue
reset = {"to": "jane@example.com", "name": "Jane", "token": "0123"}
print(Queue("email").add("password-reset", reset).result(timeout=30))
"""


@dataclass
class Image:
    """A Dockerfile, read: its instructions in order, its environment, who runs what."""

    steps: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Image":
        image = cls()
        text = ""
        for line in path.read_text().splitlines():
            if line.strip().startswith("#"):
                continue
            text += line.removesuffix("\\")
            if not line.endswith("\\") and text.strip():
                name, _, rest = text.strip().partition(" ")
                image.steps.append((name, rest.strip()))
                text = ""
        return image

    def all(self, name: str) -> list[str]:
        return [rest for step, rest in self.steps if step == name]

    def one(self, name: str) -> str:
        (only,) = self.all(name)
        return only

    @property
    def environment(self) -> dict[str, str]:
        words = [word for rest in self.all("ENV") for word in shlex.split(rest)]
        return dict(word.split("=", 1) for word in words)

    def as_user(self, command: list[str]) -> list[str]:
        """``command`` started as the image's user; as ourselves, where we are not root."""
        if os.geteuid() != 0:
            return command
        user, group = self.one("USER").split(":")
        # setpriv itself may still open what is root's: it starts a shell, which may not.
        return [
            *("setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs"),
            *("sh", "-c", 'exec "$0" "$@"', *command),
        ]

    @property
    def command(self) -> list[str]:
        return list(json.loads(self.one("CMD")))


@pytest.fixture(scope="module")
def image() -> Image:
    return Image.read(ROOT / "Dockerfile")


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


class TestDockerfile:
    def test_is_slim_and_has_no_rights(self, image: Image) -> None:
        assert image.one("FROM").startswith("python:3.")
        assert image.one("FROM").endswith("-slim")
        user, group = image.one("USER").split(":")
        assert int(user) > 0
        assert int(group) > 0
        names = [name for name, _ in image.steps]
        assert "RUN" not in names[names.index("USER") :]

    def test_debug_is_off_and_no_key_is_kept(self, image: Image) -> None:
        assert image.environment["DJANGO_DEBUG"] == "0"
        assert not {"DJANGO_SECRET_KEY", "QUEUECORE_URL"} & set(image.environment)

    def test_copies_what_there_is_and_what_the_ignore_file_lets_through(self, image: Image) -> None:
        let_through = {
            line[1:]
            for line in (ROOT / ".dockerignore").read_text().splitlines()
            if line[:1] == "!"
        }
        copied = [rest.split()[0] for rest in image.all("COPY")]
        assert [name for name in copied if not (ROOT / name).exists()] == []
        assert set(copied) == let_through

    def test_runs_the_web_by_default(self, image: Image) -> None:
        assert image.command[0] == "daphne"
        assert image.one("EXPOSE") in image.command


class TestCompose:
    def test_has_web_worker_valkey_and_postgres(self, compose: dict) -> None:
        services = compose["services"]
        assert {"web", "worker", "valkey", "postgres"} <= set(services)
        assert services["web"]["image"] == services["worker"]["image"]
        assert services["worker"]["command"][:3] == ["python", "manage.py", "runworker"]

    def test_valkey_keeps_what_it_has(self, compose: dict) -> None:
        valkey = compose["services"]["valkey"]
        words = valkey["command"]
        assert words[words.index("--appendonly") + 1] == "yes"
        assert words[words.index("--maxmemory-policy") + 1] == "noeviction"
        assert [volume.split(":")[1] for volume in valkey["volumes"]] == ["/data"]

    def test_no_secret_has_a_default(self, compose: dict) -> None:
        settings = compose["services"]["web"]["environment"]
        assert ":?" in settings["DJANGO_SECRET_KEY"]
        assert ":?" in settings["DATABASE_URL"]
        assert ":?" in compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"]

    def test_web_and_worker_are_probed(self, compose: dict) -> None:
        web, worker = (compose["services"][name]["healthcheck"] for name in ("web", "worker"))
        assert web["test"] == ["CMD", "python", "-m", "config.probe"]
        file = compose["services"]["worker"]["command"][-1]
        assert worker["test"][1:] == ["python", "manage.py", "queues", "health", "--file", file]

    def test_only_the_worker_keeps_connections_to_postgres(self, compose: dict) -> None:
        web, worker = (compose["services"][name]["environment"] for name in ("web", "worker"))
        assert "DATABASE_CONN_MAX_AGE" not in web
        assert worker == web | {"DATABASE_CONN_MAX_AGE": "60"}

    def test_the_worker_has_time_to_hand_its_jobs_back(self, compose: dict) -> None:
        assert int(compose["services"]["worker"]["stop_grace_period"].rstrip("s")) > 25


@dataclass
class Built:
    """The image, built in a folder: ``run`` starts a command in it as its user."""

    image: Image
    root: Path
    python: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def place(self, text: str) -> str:
        """``text`` with the image's folders replaced by those that stand for them."""
        for folder in (self.image.one("WORKDIR"), self.image.one("VOLUME")):
            text = text.replace(folder, f"{self.root}{folder}")
        return text

    @property
    def work(self) -> Path:
        return Path(self.place(self.image.one("WORKDIR")))

    @property
    def environment(self) -> dict[str, str]:
        # Nothing of this machine's, but how it reaches the package index.
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("PIP_") or name.lower().endswith("_proxy") or "SSL_CERT" in name
        }
        own = {name: self.place(value) for name, value in self.image.environment.items()}
        return kept | own | {"PATH": f"{self.python.parent}:{os.defpath}", "LANG": "C.UTF-8"}

    def build(self) -> None:
        self.work.mkdir(parents=True)
        for name, rest in self.image.steps:
            if name == "COPY":
                source, target = rest.split()
                copy(ROOT / source, self.work / target)
            elif name == "RUN":
                if os.geteuid() != 0:
                    rest = rest.partition(" && chown ")[0]
                subprocess.run(
                    self.place(rest), shell=True, cwd=self.work, env=self.environment, check=True
                )

    def run(self, command: list[str], **environment: str) -> subprocess.Popen[str]:
        """``command`` as the image's user, its output in one pipe."""
        process = subprocess.Popen(
            self.image.as_user(command),
            cwd=self.work,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.running.append(process)
        return process

    def finish(self, command: list[str], **environment: str) -> tuple[int, str]:
        """Exit code and output of ``command``, which ends by itself."""
        process = self.run(command, **environment)
        said, _ = process.communicate(timeout=UNTIL_IT_SERVES)
        return process.returncode, said

    def end(self) -> None:
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout:
                process.stdout.close()


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target = target / source.name if target.is_dir() else target
        shutil.copy(source, target)


def usable_python(image: Image) -> str:
    """A Python that the image's user may start (one in a home folder may be closed to it)."""
    names = (getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3", "python3.13")
    for name in names:
        found = shutil.which(name)
        if found is None:
            continue
        command = [found, "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"]
        answer = subprocess.run(image.as_user(command), capture_output=True, check=False)
        if answer.returncode == 0:
            return found
    pytest.fail("No Python 3.11 or newer with venv that a user without rights may start.")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def built(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    # pytest's own folders are closed to other users.
    root = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    root.chmod(0o755)
    subprocess.run([usable_python(image), "-m", "venv", root / "venv"], check=True)
    built = Built(image, root, root / "venv" / "bin" / "python")
    try:
        built.build()
        yield built
    finally:
        built.end()
        shutil.rmtree(root)


@pytest.fixture
def keys(new_server: Callable[..., Server]) -> dict[str, str]:
    """What a container must be given, with a server that its user can reach."""
    port = free_port()
    new_server(options={"port": str(port), "bind": "127.0.0.1"})
    return {
        "DJANGO_SECRET_KEY": "a long random text for one test run only",
        "QUEUECORE_URL": f"redis://127.0.0.1:{port}/0",
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestImage:
    def test_serves_and_works_as_a_user_without_rights(
        self, built: Built, keys: dict[str, str], compose: dict
    ) -> None:
        code, said = built.finish(compose["services"]["migrate"]["command"], **keys)
        assert code == 0, said

        port = str(free_port())
        exposed = built.image.one("EXPOSE")
        web = built.run([word.replace(exposed, port) for word in built.image.command], **keys)
        page = wait_for_page(f"http://127.0.0.1:{port}/", web)
        assert "<html" in page

        def here(command: list[str]) -> list[str]:
            # Other tests have the same temporary folder, as no two containers do.
            return [word.replace("/tmp/", f"{built.root}/data/") for word in command]

        worker = built.run(here(compose["services"]["worker"]["command"]), **keys)
        code, said = built.finish(["python", "-c", SEND_A_MAIL], **keys)
        assert code == 0, said + output_of(worker)
        assert len(list((built.root / "data" / "mail").iterdir())) == 1

        probes = {
            name: compose["services"][name]["healthcheck"]["test"][1:] for name in ("web", "worker")
        }
        address = f"http://127.0.0.1:{port}/readyz"
        code, said = built.finish([*probes["web"], address], **keys)
        assert code == 0, said
        assert '"redis": true' in said
        code, said = built.finish(here(probes["worker"]), **keys)
        assert code == 0, said
        assert "is ok" in said

        for process in (worker, web):
            process.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0, output_of(worker)
        assert web.wait(30) == 0, output_of(web)

    @pytest.mark.parametrize("missing", ["DJANGO_SECRET_KEY", "QUEUECORE_URL"])
    def test_says_which_key_is_missing(
        self, built: Built, keys: dict[str, str], missing: str
    ) -> None:
        del keys[missing]
        code, said = built.finish(built.image.command, **keys)
        assert code != 0
        assert f"{missing} is not set" in said


def wait_for_page(url: str, process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + UNTIL_IT_SERVES
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)  # between two tries; the deadline ends it
    pytest.fail(f"{url} did not serve. {output_of(process)}")


def output_of(process: subprocess.Popen[str]) -> str:
    """What ``process`` has said; it is ended for that."""
    process.kill()
    return f"The process said:\n{process.communicate()[0]}"
