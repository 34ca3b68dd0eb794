"""The shape of the project: commands that exist, folders that are explained, nothing foreign."""

import re
import subprocess

import pytest

from tests.machine import ROOT

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def tracked() -> list[str]:
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    names = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    return [name for name in names if (ROOT / name).is_file()]


@pytest.mark.parametrize(
    "name",
    [
        *("manage.py", "dashboard", "queuecore", "templates", "static", "tests"),
        *("requirements.txt", "Dockerfile", "config", "demo", "pyproject.toml", "Makefile"),
        *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "compose.yaml", ".ci/run"),
    ],
)
def test_top_level(name: str) -> None:
    assert (ROOT / name).exists()


def test_make_lists_every_target() -> None:
    listed = subprocess.check_output(["make", "-s"], cwd=ROOT, text=True)
    phony = re.search(r"^\.PHONY: (.*?[^\\])$", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert phony is not None
    assert set(phony[1].replace("\\\n", " ").split()) == TARGETS
    assert {line.split()[0] for line in listed.splitlines()[1:]} == TARGETS


def test_the_commands_of_the_readme_exist() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= TARGETS


def test_ci_runs_lint_and_the_tests_of_the_readme() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines.index("make lint") < lines.index("make test")
    assert "make test" in README


def test_every_folder_of_tests_is_explained() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text()
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders
    assert [name for name in sorted(folders) if f"| {name} |" not in table] == []


def test_no_script_of_someone_else_is_kept_here() -> None:
    scripts = [name for name in tracked() if name.endswith((".js", ".mjs", ".css"))]
    assert not [name for name in scripts if ".min." in name or "vendor" in name]
    longest = {
        name: max(map(len, (ROOT / name).read_text().splitlines() or [""])) for name in scripts
    }
    assert not {name: length for name, length in longest.items() if length > 500}
