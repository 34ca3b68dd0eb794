"""The requirement files: made, and checked to be current, by uv.

``python -m tests.locks`` brings each in line with pyproject.toml and changes as little as may be
(the versions in the file are preferred); ``--upgrade`` takes the newest versions; ``--check``
changes nothing and says which file is not current: compiling it anew would change it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.machine import ROOT

PEER = "tests/peers/bullmq-python/requirements"
CELERY = "tests/peers/celery/requirements"

LOCKS = {
    "requirements.txt": ["pyproject.toml", "--all-extras", "--group", "project"],
    "tests/requirements.txt": [
        *("--group", "test", "--group", "lint", "--group", "lock"),
        *("--constraints", "requirements.txt"),
    ],
    f"{PEER}.txt": [f"{PEER}.in"],
    f"{CELERY}.txt": ["pyproject.toml", "--extra", "tasks", f"{CELERY}.in"],
}

# One file for every Python from 3.11 on and every platform, and nothing in it that only this
# machine knows: no address of an index, no folder.
COMPILE = [
    *(sys.executable, "-m", "uv", "--no-config", "pip", "compile", "--quiet", "--universal"),
    *("--python-version", "3.11", "--no-emit-index-url", "--no-emit-find-links"),
    *("--annotation-style", "line", "--custom-compile-command", "make requirements"),
]


class NotCompiled(Exception):
    """uv could not resolve a file; the text is what it said."""


def compile_lock(name: str, target: Path, *options: str) -> None:
    """Write the lock ``name`` to ``target``; what ``target`` holds already is preferred."""
    # What a machine's pip is told to look into (local folders, mirrors) is not for the lock.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    command = [*COMPILE, *LOCKS[name], "--output-file", str(target), *options]
    answer = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise NotCompiled(f"{name} could not be compiled:\n{answer.stderr.strip()}")


def is_current(name: str) -> bool:
    """Whether compiling the lock ``name`` anew, with itself as preference, changes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "requirements.txt"
        shutil.copy(ROOT / name, target)
        compile_lock(name, target)
        return target.read_text() == (ROOT / name).read_text()


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        stale = [name for name in LOCKS if not is_current(name)]
        for name in stale:
            print(f"{name} is not current: run `make requirements`.")
        return 1 if stale else 0
    for name in LOCKS:
        compile_lock(name, ROOT / name, *arguments)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NotCompiled as error:
        sys.exit(str(error))
