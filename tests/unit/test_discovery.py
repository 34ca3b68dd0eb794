"""Discovery: processors.py of every installed app, and errors that name file and line."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from queuecore import discovery, processors
from queuecore.errors import ConfigurationError
from queuecore.processors import Registry

App = Callable[..., str]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = Registry()
    monkeypatch.setattr(processors, "registry", registry)
    monkeypatch.setattr(discovery, "registry", registry)
    return registry


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """``app("shop", source)`` writes an app whose ``processors.py`` is *source*."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def write(name: str, source: str | None, **files: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        if source is not None:
            (folder / "processors.py").write_text(source)
        for file, text in files.items():
            (folder / f"{file}.py").write_text(text)
        made.append(name)
        return name

    yield write
    for module in list(sys.modules):
        if module.partition(".")[0] in made:
            del sys.modules[module]


GOOD = """
from queuecore import processor

@processor("emails")
def send(job):
    pass
"""


def test_every_app_is_looked_at(registry: Registry, app: App) -> None:
    apps = [
        app("shop", GOOD),
        app("nothing", None),
        app("news", GOOD.replace("emails", "letters")),
    ]
    with override_settings(INSTALLED_APPS=["queuecore", *apps]):
        assert discovery.discover() is registry
        discovery.discover()  # a second time changes nothing
    assert set(registry.queues) == {("default", "emails"), ("default", "letters")}


def test_an_app_of_one_module_has_none(registry: Registry, app: App, tmp_path: Path) -> None:
    (tmp_path / "single.py").write_text(
        "from django.apps import AppConfig\n"
        "class Config(AppConfig):\n"
        "    name = 'single'\n"
        f"    path = {str(tmp_path)!r}\n"
    )
    app("shop", GOOD)
    with override_settings(INSTALLED_APPS=["single.Config", "shop"]):
        discovery.discover()
    assert set(registry.queues) == {("default", "emails")}
    del sys.modules["single"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import nowhere_to_be_found", r"ModuleNotFoundError: .*\(.*/shop/processors.py:1\)$"),
        ("x = 1\n\nx.y", r"AttributeError: .*\(.*/shop/processors.py:3\)$"),
        ("x = (\n", r"SyntaxError: .*\(.*/shop/processors.py:1\)$"),
        ("from . import other", r"ZeroDivisionError: .*\(.*/shop/other.py:2\)$"),
    ],
)
def test_a_module_that_cannot_be_imported(
    registry: Registry, app: App, source: str, says: str
) -> None:
    app("shop", source, other="x = 0\n1 / x")
    says = f"shop.processors cannot be imported: {says}"
    with (
        override_settings(INSTALLED_APPS=["shop"]),
        pytest.raises(ConfigurationError, match=says),
    ):
        discovery.discover()


def test_two_apps_that_clash(registry: Registry, app: App) -> None:
    apps = [app("shop", GOOD), app("news", GOOD)]
    with (
        override_settings(INSTALLED_APPS=apps),
        pytest.raises(
            ConfigurationError, match=r"two processors.*shop/proc.*:4 and .*news/proc.*:4"
        ),
    ):
        discovery.discover()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"emails"', '"emails", concurrency=0', r"at least 1, not 0 \(.*/shop/processors.py:4\)$"),
        ('"emails"', '"e:mails"', r"holds ':'.*\(.*/shop/processors.py:\d\)$"),
        ("def send(job)", "def send(job): yield", r"is a generator function"),
    ],
)
def test_a_wrong_use_names_its_place(
    registry: Registry, app: App, old: str, new: str, says: str
) -> None:
    source = GOOD.replace(old, new)
    if "yield" in new:
        source = source.replace("yield:\n    pass", "yield")
    app("shop", source)
    with (
        override_settings(INSTALLED_APPS=["shop"]),
        pytest.raises(ConfigurationError, match=says) as caught,
    ):
        discovery.discover()
    assert str(caught.value).count("/shop/processors.py") == 1
