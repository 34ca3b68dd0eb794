"""The documentation is complete and true: settings, checks, commands, names, links, examples.

The lower part of ``docs/reference/api.md`` is written by ``python -m tests.contract.test_docs``
from the docstrings; the rest is written by people, and held to the code here.
"""

import ast
import configparser
import inspect
import os
import re
from argparse import SUPPRESS, ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
import yaml
from django.core.management import load_command_class

from tests.contract.test_public_names import members, parameters
from tests.examples import markdown
from tests.examples.test_howto import PAGES
from tests.machine import ROOT

REFERENCE = ROOT / "docs" / "reference"
API = REFERENCE / "api.md"
BEGIN = "<!-- api: begin, written by: python -m tests.contract.test_docs -->\n"
END = "<!-- api: end -->\n"

# Where a reader goes on from a name.
HOW_TO = {
    "Queue": "[producers](../howto/producers.md)",
    "Job": "[states](../explain/states.md)",
    "JobSpec": "[many jobs](../howto/producers.md#many-jobs)",
    "FlowProducer": "[flows](../howto/flows.md)",
    "FlowJob": "[flows](../howto/flows.md)",
    "Keep": "[retention](../howto/producers.md#retention)",
    "Deduplication": "[deduplication](../howto/deduplication.md)",
    "Backoff": "[retries](../howto/workers.md#retries)",
    "Batch": "[several jobs at a time](../howto/workers.md#several-jobs-at-a-time)",
    "Group": "[groups](../howto/groups.md)",
    "GroupLimits": "[groups](../howto/groups.md#limits)",
    "RateLimit": "[limits](../howto/limits.md)",
    "Limit": "[a limit for several queues](../howto/limits.md#a-limit-for-several-queues)",
    "QueueEvents": "[events](../howto/events.md)",
    "QueueEventsProducer": "[events of your own](../howto/events.md#events-of-your-own)",
    "Event": "[events](../howto/events.md)",
    "Worker": "[steer a worker](../howto/worker-control.md)",
    "Processor": "[hooks](../howto/workers.md#hooks)",
    "processor": "[processors](../howto/workers.md#processors)",
    "named": "[a class for several names](../howto/processors.md#a-class-for-several-names)",
    "provide": "[services](../howto/processors.md#services)",
}
# For readers of the code: nobody makes a job, or its wire form, by hand.
INTERNAL = {("Job", "from_flat"), ("Backoff", "wire"), ("Keep", "wire"), ("Deduplication", "wire")}
INTERNAL |= {("Group", "wire"), ("GroupLimits", "wire")}


def section(name: str, heading: str) -> str:
    """The text below one heading of ``docs/reference/<name>``, up to the next of that rank."""
    text = (REFERENCE / name).read_text()
    rank = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert rank, f"{name} has no heading {heading!r}"
    return re.split(rf"^#{{1,{len(rank[1])}}} ", text[rank.end() :], flags=re.MULTILINE)[0]


def table(text: str) -> dict[str, list[str]]:
    """The rows of the tables in ``text``: the names in the first cell, without marks; the rest."""
    found: dict[str, list[str]] = {}
    for row in markdown.rows(text):
        if names := re.findall(r"`([^`]+)`", row[0]):
            for name in names:
                assert name not in found, f"{name} stands there twice"
                found[name] = row[1:]
    return found


def compared(documented: Any, real: Any) -> None:
    """Fail with both sides' surplus."""
    told, there = set(documented), set(real)
    assert told == there, f"missing: {sorted(there - told)}; no longer: {sorted(told - there)}"


def shown(value: Any) -> str:
    """A default as the reference writes it."""
    if value is None:
        return "none"
    if value == "":
        return "empty"
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


class TestSettings:
    def defaults(self, heading: str, kind: type, **more: Any) -> None:
        documented = table(section("settings.md", heading))
        real = {
            name.upper(): field.default
            if field.default_factory.__class__.__name__ == "_MISSING_TYPE"
            else field.default_factory()
            for name, field in kind.__dataclass_fields__.items()  # type: ignore[attr-defined]
        } | more
        compared(documented, real)
        told = {name: row[0].strip("`") for name, row in documented.items()}
        assert told == {name: shown(value) for name, value in real.items()}
        assert all(row[1] for row in documented.values())

    def test_the_top(self) -> None:
        from queuecore.conf import _TOP

        # The first table only: the others have headings of their own.
        text = (REFERENCE / "settings.md").read_text().split("\n## ")[0]
        compared(table(text), _TOP)

    def test_a_connection(self) -> None:
        from queuecore.conf import _CONNECTION, ConnectionSettings

        documented = table(section("settings.md", "CONNECTIONS"))
        compared(documented, _CONNECTION)
        assert documented["PREFIX"][0] == f"`{ConnectionSettings('default', None).prefix}`"

    def test_a_limit(self) -> None:
        from queuecore.conf import _LIMIT

        compared(table(section("settings.md", "LIMITS")), _LIMIT)

    def test_the_worker(self) -> None:
        from queuecore.conf import WorkerSettings

        self.defaults("WORKER", WorkerSettings)

    def test_the_dashboard(self) -> None:
        from dashboard.conf import _KNOWN, DashboardSettings

        self.defaults("DASHBOARD", DashboardSettings, READ_ONLY=False, ACCESS=None)
        compared(table(section("settings.md", "DASHBOARD")), _KNOWN)

    def test_the_environment(self) -> None:
        from config import settings

        real = re.findall(r"^([A-Z_]+)  ", settings.__doc__ or "", re.MULTILINE)
        source = (ROOT / "config/settings.py").read_text()
        assert len(real) >= 8
        assert all(f'"{name}"' in source for name in real)
        compared(table(section("settings.md", "Environment of config")), real)

    def test_job_options(self) -> None:
        from queuecore.options import JobOptions

        documented = table(section("api.md", "Job options"))
        compared(documented, JobOptions.__annotations__)
        assert all(all(row) for row in documented.values())


class TestChecks:
    def test_every_id_has_its_place(self) -> None:
        real = {
            found
            for folder in ("queuecore", "dashboard")
            for path in (ROOT / folder).rglob("*.py")
            for found in re.findall(r"""id=["']([\w.]+\.[EWIC]\d+)["']""", path.read_text())
        }
        assert len(real) >= 6
        text = (REFERENCE / "checks.md").read_text()
        compared(re.findall(r"^## (.+)$", text, re.MULTILINE), real)

    def test_each_has_a_cure(self) -> None:
        for part in (REFERENCE / "checks.md").read_text().split("\n## ")[1:]:
            assert "**Cure**" in part, part.splitlines()[0]

    def test_those_of_deploy_are_marked(self) -> None:
        from django.core.checks.registry import registry

        marked = re.findall(
            r"^## (\S+)\n\n\*[^*]+\* \(deploy\)",
            (REFERENCE / "checks.md").read_text(),
            re.MULTILINE,
        )
        sources = [
            inspect.getsource(check)
            for check in registry.deployment_checks
            if check.__module__.startswith("queuecore")
        ]
        compared(marked, [re.findall(r'id="([\w.]+)"', source)[0] for source in sources])


def parsers() -> Iterator[tuple[str, ArgumentParser]]:
    """Every command of ours that does something, by its name with those of its subcommands."""
    for app in ("queuecore", "dashboard"):
        for path in sorted((ROOT / app / "management" / "commands").glob("[a-z]*.py")):
            parser = load_command_class(app, path.stem).create_parser("manage.py", path.stem)
            yield from leaves(path.stem, parser)


def leaves(name: str, parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    groups = [one for one in parser._actions if isinstance(one, _SubParsersAction)]
    if not groups:
        yield name, parser
    for group in groups:
        for below, sub in group.choices.items():
            yield from leaves(f"{name} {below}", sub)


def options(parser: ArgumentParser) -> dict[str, str]:
    """What a parser of ours takes beyond what every command of Django's does, and its help."""
    from django.core.management.base import BaseCommand

    theirs = {
        flag
        for action in BaseCommand().create_parser("", "")._actions
        for flag in action.option_strings
    }
    found = {}
    for action in parser._actions:
        if theirs.intersection(action.option_strings) or action.help == SUPPRESS:
            continue
        value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
        # The short form is an alias; the long one is documented.
        names = [*action.option_strings[-1:], value] if action.option_strings else [value]
        found[" ".join(name for name in names if name)] = action.help or ""
    return found


class TestCommands:
    def test_every_command_has_its_place(self) -> None:
        text = (REFERENCE / "commands.md").read_text()
        compared(re.findall(r"^## (.+)$", text, re.MULTILINE), [name for name, _ in parsers()])

    def test_every_option_is_told_in_the_words_of_its_help(self) -> None:
        for name, parser in parsers():
            documented = table(section("commands.md", name))
            real = options(parser)
            compared(documented, real)
            assert {option: row[0] for option, row in documented.items()} == real, name


class TestSignals:
    def test_every_signal_has_its_row(self) -> None:
        from queuecore import signals

        real = {
            name: one for name, one in vars(signals).items() if isinstance(one, signals.JobSignal)
        }
        documented = {
            row[0].strip("`"): row[1:]
            for row in markdown.rows((REFERENCE / "signals.md").read_text())
            if row[0].startswith("`")
        }
        compared(documented, real)
        assert all(all(row) for row in documented.values())
        # What is said of them in the code, which sends them.
        source = inspect.getsource(signals)
        for name, (sender, arguments, _when) in documented.items():
            assert real[name].name == name
            assert sender == ("`Worker`" if name.startswith("worker_") else "`Queue`")
            told = [one for one in re.findall(r"`(\w+)`", arguments) if one != "queue"]
            comment = re.search(rf"^{name} = .*?(?:# (.+))?$", source, re.MULTILINE)
            assert comment
            assert told == (comment[1].split(", ") if comment[1] else ["worker"]), name


class TestKeys:
    def test_every_key_of_a_queue_is_told(self) -> None:
        from queuecore.wire.keys import SUFFIXES

        told = section("keys.md", "BullMQ's")
        named = {name.split(":")[0] for name in re.findall(r"`([a-z:<> -]+)`", told)}
        compared(named & SUFFIXES, SUFFIXES)

    def test_every_key_of_ours_is_told(self) -> None:
        source = "\n".join(path.read_text() for path in (ROOT / "queuecore").rglob("*.py"))
        real = {
            f"qc:<prefix>::{one}" for one in re.findall(r'connection_key\(\S+, f?"(\w+)', source)
        }
        # History's two lists are read by a name that is passed on.
        real |= {f"qc:<prefix>:<queue>:{one}" for one in re.findall(r'\.qc\(f?"(\w+)', source)}
        real |= {
            f"qc:<prefix>:<queue>:{one}" for one in re.findall(r'\.receipt\(\s*"(\w+)"', source)
        }
        real |= {
            f"qc:<prefix>:<queue>:{one}"
            for one in re.findall(r'self\.own(?: \+ "|\})([\w-]+)[":]', source)
        }
        assert len(real) >= 7
        told = {re.sub(r":<(worker|process|number|id)>.*$", "", one) for one in ours()}
        compared(told, real)


def ours() -> list[str]:
    return re.findall(r"^\| `(qc:[^`]+)`", section("keys.md", "Ours"), re.MULTILINE)


class TestRights:
    def test_every_permission_and_who_has_it(self) -> None:
        from queuecore.access import PRESETS

        page = (ROOT / "docs/howto/dashboard.md").read_text()
        rows = [row for row in markdown.rows(page) if row[0].startswith("`queuecore.")]
        told = {
            group: {row[0].strip("`").removeprefix("queuecore.") for row in rows if row[at] == "x"}
            for at, group in enumerate(PRESETS, start=1)
        }
        assert told == {group: set(codenames) for group, codenames in PRESETS.items()}

    def test_what_is_said_to_allow_nothing_is_asked_for_nowhere(self) -> None:
        page = (ROOT / "docs/howto/dashboard.md").read_text()
        rows = [row for row in markdown.rows(page) if row[0].startswith("`queuecore.")]
        source = "\n".join(path.read_text() for path in (ROOT / "dashboard").rglob("*.py"))
        for row in rows:
            codename = row[0].strip("`").removeprefix("queuecore.")
            # An action of one job asks for the permission of its own name.
            asked = f'"{codename}"' in source or codename == "view"
            assert asked == (row[4] != "nothing yet"), codename

    def test_the_policy_is_the_one_that_is_sent(self) -> None:
        from django.test import RequestFactory

        from dashboard.headers import content_security_policy

        request = RequestFactory().get("/", secure=True, headers={"host": "testserver"})
        policy = "; ".join(
            f"{name} {' '.join(sources)}"
            for name, sources in content_security_policy(request).items()
        ).replace("wss://testserver", "wss://<host>")
        page = " ".join((ROOT / "docs/howto/dashboard.md").read_text().split())
        assert policy in page


# The API reference


def test_the_api_reference_is_current() -> None:
    assert api_text() == API.read_text(), "run: python -m tests.contract.test_docs"


def test_every_public_name_and_method_stands_in_the_api_reference() -> None:
    """Of the text as it lies there, whatever has written it."""
    import queuecore

    text = API.read_text()
    for name in queuecore.__all__:
        value = getattr(queuecore, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert f"| `{name}` |" in text, name
            continue
        part = section("api.md", name)
        assert f"from queuecore import {name}\n" in part
        if isinstance(value, type):
            for member, found in members(value):
                if (name, member) in INTERNAL or not inspect.isroutine(found):
                    continue
                twin = member[1:] in dir(value) and inspect.iscoroutinefunction(found)
                told = member if twin else f"{member}{cell(parameters(found))}"
                assert f"`{told}`" in part, f"{name}.{member}"


def api_text() -> str:
    """The whole page, its written part anew."""
    before, rest = API.read_text().split(BEGIN)
    return before + BEGIN + "\n" + "\n".join(api_lines()) + "\n" + END + rest.split(END)[1]


def api_lines() -> Iterator[str]:
    import queuecore
    from queuecore import errors

    for name in HOW_TO:
        value = getattr(queuecore, name)
        yield f"## {name}\n"
        call = "" if name == "Job" else f"\n{name}{parameters(value)}\n"  # nobody makes one by hand
        yield f"```python\nfrom queuecore import {name}\n{call}```\n"
        yield from described(value)
        yield f"See {HOW_TO[name]}.\n"
        if isinstance(value, type):
            yield from member_table(name, value)
    yield "## Errors\n"
    yield (
        "All are `QueueCoreError`. Those in the second table are raised by processors, to say how "
        "a run ended.\n"
    )
    control = [
        one for one in queuecore.__all__ if one.endswith("Error") and one != "QueueCoreError"
    ]
    kinds = {
        one: kind
        for one, kind in vars(errors).items()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    }
    for wanted in (False, True):
        yield "| | |\n|---|---|"
        for one, kind in kinds.items():
            if (one in control) == wanted:
                yield f"| `{one}` | {cell(first_paragraph(kind))} |"
        yield ""


def described(value: Any) -> Iterator[str]:
    """The docstring's paragraphs before its sections, and its arguments as a list."""
    text, _, rest = (inspect.getdoc(value) or "").partition("\nArgs:\n")
    for paragraph in re.split(r"\n(?:Raises|Follows)\b", text)[0].strip().split("\n\n"):
        if "Steering" not in paragraph:  # where the methods lie is for readers of the code
            yield f"{plain(paragraph)}\n"
    arguments = rest.split("\n\n")[0]
    found = re.findall(r"^    (\w[\w, ]*): (.+(?:\n      .+)*)", arguments, re.MULTILINE)
    for name, told in found:
        names = ", ".join(f"`{one}`" for one in name.split(", "))
        yield f"- {names}: {plain(told)}"
    if found:
        yield ""


def member_table(owner: str, value: type) -> Iterator[str]:
    found = {member: one for member, one in members(value) if (owner, member) not in INTERNAL}
    twins = {f"a{one}" for one in found if inspect.iscoroutinefunction(found.get(f"a{one}"))}
    rows = []
    for member, one in found.items():
        told = first_paragraph(one)
        if (
            member in twins
            or not told
            or (owner in ("Keep", "Backoff", "RateLimit", "JobSpec") and not callable(one))
        ):
            continue
        names = f"`{member}{cell(parameters(one)) if callable(one) else ''}`"
        if f"a{member}" in twins:
            names += f", `a{member}`"
        rows.append(f"| {names} | {cell(told)} |")
    if rows:
        yield "| | |\n|---|---|"
        yield from rows
        yield ""


def first_paragraph(value: Any) -> str:
    return plain((inspect.getdoc(value) or "").split("\n\n")[0])


def plain(text: str) -> str:
    """Markdown of a docstring's markup, in one line."""
    text = re.sub(r":\w+:`[~]?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return " ".join(text.replace("``", "`").split())


def cell(text: str) -> str:
    return text.replace("|", "\\|")


# Links and examples


@pytest.mark.parametrize("path", markdown.documents(), ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in markdown.links(path):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{path.name}: {link}"
        assert file.is_relative_to(ROOT), f"{path.name}: {link}"
        if anchor:
            assert anchor in markdown.anchors(file), f"{path.name}: {link}"


def test_every_page_is_linked_from_another_one() -> None:
    linked = {
        (path.parent / link.split("#")[0]).resolve()
        for path in markdown.documents()
        for link in markdown.links(path)
        if not re.match(r"[a-z]+:", link)
    }
    pages = set((ROOT / "docs").rglob("*.md"))
    lonely = {path.relative_to(ROOT).as_posix() for path in pages - linked}
    assert lonely == set()


@pytest.mark.parametrize("path", markdown.documents(), ids=lambda path: path.name)
def test_every_example_is_well_formed(path: Path) -> None:
    for block in markdown.blocks(path):
        if block.language == "python" and path != API:
            compile(block.text, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            assert block.mark, f"{block.place}: say how it is run"
        if block.language == "yaml":
            yaml.safe_load(block.text)
        if block.language == "ini":
            configparser.ConfigParser(interpolation=None).read_string(block.text)
        if block.mark.startswith("not run"):
            assert block.mark.startswith("not run, because "), block.place


def test_every_page_with_examples_is_run() -> None:
    marked = {
        path.relative_to(ROOT).as_posix()
        for path in markdown.documents()
        if any(block.mark for block in markdown.blocks(path))
    }
    compared(PAGES, marked)


def test_the_pages_speak_of_the_product_alone() -> None:
    strange = re.compile(r"\bagents?\b|/tmp/", re.I)
    for path in markdown.documents():
        found = strange.search(path.read_text())
        assert not found, f"{path.name}: {found and found[0]}"


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    API.write_text(api_text())
