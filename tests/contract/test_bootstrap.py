"""Set-up on a machine that lacks something: one line that says what to do, and exit code 1."""

import os
import subprocess
import sys
from pathlib import Path

from tests.machine import ROOT

SCRIPT = str(ROOT / "tests" / "bootstrap.py")


def bootstrap(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """What set-up says in an environment of exactly these variables."""
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        env={"PATH": "/nowhere", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def one_line(answer: subprocess.CompletedProcess) -> str:
    assert answer.returncode == 1, answer
    assert answer.stdout == ""
    *started, last = answer.stderr.splitlines()
    assert all(line.endswith(" ...") for line in started), answer.stderr
    return last


def test_without_venv(tmp_path: Path) -> None:
    # What Debian has without its package python3-venv: a venv module, but no ensurepip.
    (tmp_path / "ensurepip.py").write_text("raise ImportError('no ensurepip')")
    answer = bootstrap("project", PYTHONPATH=str(tmp_path), VENV=str(tmp_path / "venv"))
    assert "apt-get install python3." in one_line(answer)
    assert not (tmp_path / "venv").exists()


def test_without_a_package_index(tmp_path: Path) -> None:
    answer = bootstrap(
        "project",
        VENV=str(tmp_path / "venv"),
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9/",
        PIP_RETRIES="0",
        PIP_NO_CACHE_DIR="1",
    )
    line = one_line(answer)
    assert line.startswith("pip could not install requirements.txt: ")
    assert "pip.log" in line


def test_a_wrong_browser_is_named(tmp_path: Path) -> None:
    answer = bootstrap("browser", QUEUECORE_TEST_BROWSER=str(tmp_path / "none"))
    assert "QUEUECORE_TEST_BROWSER" in one_line(answer)


def test_a_wrong_node_is_named(tmp_path: Path) -> None:
    answer = bootstrap("node", QUEUECORE_TEST_NODE=str(tmp_path / "none"))
    assert "QUEUECORE_TEST_NODE" in one_line(answer)


def test_an_old_python_looks_for_a_newer_one_or_says_so(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 2, 'final', 0);"
        f"sys.argv = [{SCRIPT!r}, 'project']; runpy.run_path({SCRIPT!r}, run_name='__main__')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert one_line(answer).startswith("QueueCore needs Python 3.11 or newer, and this one is 3.9:")
