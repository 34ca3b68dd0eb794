"""The requirement files: current, the same for everyone, with the versions that are promised."""

import re

import pytest
from packaging.requirements import Requirement

from tests.locks import LOCKS, is_current
from tests.machine import ROOT


def pinned(name: str, python: str) -> dict[str, str]:
    """The versions in the lock ``name`` for a Linux of this kind with Python ``python``."""
    where = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        text = line.split("#")[0].strip()
        if text:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate(where):
                found[requirement.name] = str(requirement.specifier)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_is_current(name: str) -> None:
    assert is_current(name), f"{name} is not current: run `make requirements`."


@pytest.mark.parametrize("name", LOCKS)
def test_names_no_address_and_no_folder(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
    assert not re.search(r"(?<![\w.])/\w", text)


@pytest.mark.parametrize(("python", "django"), [("3.11", "5.2"), ("3.12", "6.1"), ("3.13", "6.1")])
def test_has_the_django_of_each_python(python: str, django: str) -> None:
    assert pinned("requirements.txt", python)["django"].startswith(f"=={django}.")


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_tools_and_project_agree(python: str) -> None:
    project = pinned("requirements.txt", python)
    for name, version in pinned("tests/requirements.txt", python).items():
        assert project.get(name, version) == version
