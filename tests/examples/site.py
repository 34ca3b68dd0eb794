"""A Django project of somebody else's, fresh from ``startproject``, in which examples run."""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.examples.markdown import Block

# Runs each line of its input, a piece of Python as JSON, and answers with what went wrong.
DRIVER = """
import ast, asyncio, json, sys, traceback
import django
django.setup()
names = {"__name__": "__main__"}
for line in sys.stdin:
    place, text = json.loads(line)
    try:
        code = compile(text, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        answer = eval(code, names)
        if answer is not None:
            asyncio.run(answer)
    except BaseException:
        print(json.dumps(traceback.format_exc()), flush=True)
    else:
        print(json.dumps(""), flush=True)
"""
PATIENCE = 60


class Site:
    """One project ``mysite`` with an app ``shop``; *packages* is where the wheel is installed.

    *url* is the server that stands in for every ``redis://localhost:6379/0`` of an example; None
    leaves the project without one, so that it starts the embedded server. *python* is that of an
    environment with the wheel in it, where *packages* is None.
    """

    def __init__(
        self, folder: Path, packages: Path | None, url: str | None, python: str = sys.executable
    ) -> None:
        self.folder = folder
        self.url = url
        self.python = python
        # A new user's environment: nothing of this checkout, no settings of ours.
        self.environment = {
            "PATH": os.pathsep.join([str(Path(python).parent), os.environ["PATH"]]),
            "HOME": str(folder),
            "PYTHONUNBUFFERED": "1",
        }
        if packages is not None:
            self.environment["PYTHONPATH"] = str(packages)
        self._shell: subprocess.Popen[str] | None = None

    def start(self) -> "Site":
        """Make the project and its app with Django's own commands, in a folder that is there."""
        self.run("django-admin", "startproject", "mysite", ".")
        self.manage("startapp", "shop")
        return self

    def copy(self, folder: Path) -> "Site":
        """Begin as a copy of another project, its database with it."""
        shutil.copytree(folder, self.folder, dirs_exist_ok=True)
        return self

    def append(self, name: str, text: str) -> None:
        """Put *text* at the end of the file *name*."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"\n{self._served(text, name)}")

    def edit(self, name: str, diff: str) -> None:
        """Change the file *name* by lines of a diff, which fit one place of it."""
        lines = self._served(diff, name).splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] in kept) for kept in ("- ", "+ "))
        path = self.folder / name
        assert path.read_text().count(old) == 1, f"{name} has not once:\n{old}"
        path.write_text(path.read_text().replace(old, new))

    def run(self, *command: str, ok: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        """Run *command* in the project; it must end well unless *ok* is false."""
        answer = subprocess.run(
            command,
            executable=shutil.which(command[0], path=self.environment["PATH"]),
            cwd=self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if ok:
            assert answer.returncode == 0, f"{shlex.join(command)}\n{answer.stdout}{answer.stderr}"
        return answer

    def manage(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run ``python manage.py`` with *arguments*."""
        return self.run("python", "manage.py", *arguments, **more)

    def shell(self, text: str, place: str = "shell") -> None:
        """Run Python in the project; names stay."""
        if self._shell is None:
            self._shell = subprocess.Popen(
                ["python", "-W", "error", "-c", DRIVER],
                executable=self.python,
                cwd=self.folder,
                env=self.environment | {"DJANGO_SETTINGS_MODULE": "mysite.settings"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(json.dumps([place, self._served(text)]) + "\n")
        self._shell.stdin.flush()
        # What the example itself prints comes before the driver's answer, which is JSON text.
        for line in self._shell.stdout:
            if line.startswith('"'):
                assert not (error := json.loads(line)), f"{place}\n{error}"
                return
        raise AssertionError(f"{place} ended the shell")

    def play(self, block: Block) -> None:
        """Do with *block* what its mark says."""
        if block.mark.startswith("not run, "):
            return
        if block.mark == "shell":
            self.shell(block.text, block.place)
        elif block.mark == "commands":
            for line in block.text.replace("\\\n", " ").splitlines():
                command = shlex.split(line, comments=True)
                if command:
                    self.run(*command)
        else:
            how, _, name = block.mark.rpartition(", ")
            assert how in ("", "edit", "whole"), f"{block.place}: what is {block.mark!r}?"
            assert "." in name, f"{block.place}: what is {block.mark!r}?"
            if how == "edit":
                self.edit(name, block.text)
                return
            if how == "whole":
                (self.folder / name).write_text("")
            self.append(name, block.text)

    @contextlib.contextmanager
    def background(self, *command: str, **more: str) -> Iterator[subprocess.Popen[str]]:
        """A server or worker that runs beside the block; ended as a supervisor ends it."""
        log = self.folder / "background.log"
        with log.open("a") as output:
            process = subprocess.Popen(
                command,
                executable=shutil.which(command[0], path=self.environment["PATH"]),
                cwd=self.folder,
                env=self.environment | more,
                stdout=output,
                stderr=output,
                text=True,
            )
            try:
                yield process
            finally:
                process.terminate()
                process.wait(PATIENCE)

    def close(self) -> None:
        """End the shell; the next one begins with the settings of then."""
        if self._shell is not None:
            self._shell.communicate(timeout=PATIENCE)
            self._shell = None

    def _served(self, text: str, name: str = "") -> str:
        # Node's client takes a Unix socket as a plain path.
        url = (self.url or "").removeprefix("unix://" if name.endswith(".mjs") else "")
        return text.replace("redis://localhost:6379/0", url)


def until(condition: Any, what: str) -> None:
    """Wait until *condition* holds; a failure names *what* did not happen."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE} s"
        time.sleep(0.05)
