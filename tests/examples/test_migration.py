"""The move away from Celery, as its page says: once with the real one, once without any."""

import contextlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.examples.markdown import Block, blocks
from tests.examples.site import Site, until
from tests.examples.test_quickstart import SILENT
from tests.machine import ROOT
from tests.servers import Server

pytestmark = pytest.mark.timeout(300)

PAGE = ROOT / "docs/howto/migrate-from-celery.md"
# What is in flight when the first task moves: due, due tomorrow, with arguments, and a canvas.
SEND = """
from shop.orders import paid, remind, uploaded, year
paid(1)
remind(2)
uploaded("dog")
book = year().id
"""
COMMANDS = "from django.core.management import call_command\n"


def framework(site: Site) -> str:
    """Where a Python has ``task`` from; that of Celery may have another Django than ours."""
    has = site.run("python", "-c", "import django.tasks", ok=False)
    return "django_tasks" if has.returncode else "django.tasks"


class Move:
    """Plays the page; *socket* is that of the broker. A shell knows no code from before a step."""

    def __init__(self, site: Site, server: Server, *, celery: bool) -> None:
        self.site = site
        self.celery = celery
        self.broker = f"redis+socket://{server.socket}"
        self.framework = framework(site)

    def play(self, block: Block) -> None:
        needed, mark = block.mark.startswith("celery, "), block.mark.removeprefix("celery, ")
        if needed and mark in ("shell", "commands") and not self.celery:
            return
        text = re.sub(r'(CELERY_\w+ = ")redis:[^"]*', rf"\g<1>{self.broker}", block.text)
        text = text.replace("from django.tasks import", f"from {self.framework} import")
        if mark not in ("shell", "commands"):
            self.site.close()
        self.site.play(replace(block, mark=mark, text=text))

    @contextlib.contextmanager
    def worker(self) -> Iterator[None]:
        """A worker of Celery's, stopped as a supervisor stops it."""
        command = ("-A", "mysite", "worker", "-Q", "celery,pictures", "-c", "2", "-l", "INFO")
        log = self.site.folder / "background.log"
        log.unlink(missing_ok=True)
        with self.site.background("celery", *command) as process:
            until(lambda: "ready." in log.read_text(), "the start of Celery's worker")
            yield
        assert process.returncode == 0, log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()


def sections() -> dict[str, list[Block]]:
    """The blocks of the page that have a mark, by the number of their section."""
    found: dict[str, list[Block]] = {}
    lines = PAGE.read_text().splitlines()
    for block in blocks(PAGE):
        above = lines[: int(block.place.partition(":")[2])]
        (*_, heading) = [line for line in above if line.startswith("## ")]
        found.setdefault(heading.removeprefix("## ")[:1], []).append(block)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_with_celery(
    packages: Path, project: Path, tmp_path: Path, server: Server, celery: Path
) -> None:
    site = Site(tmp_path / "site", packages, server.url, str(celery)).copy(project)
    move, parts = Move(site, server, celery=True), sections()
    assert list(parts) == ["T", "1", "2", "3", "4", "5", "6"]

    def go(name: str) -> None:
        for block in parts[name]:
            if block.mark:
                move.play(block)

    try:
        go("T")
        with move.worker():
            site.shell(
                "from shop.orders import uploaded, year\n"
                "assert uploaded('cat').get(timeout=60) == 'cat-400.jpg'\n"
                "assert year().get(timeout=60) == 600\n"
            )
        go("1")
        # Celery imports `tasks` of every app, ours among them.
        site.shell(
            "from mysite.celery import app\n"
            "app.loader.import_default_modules()\n"
            "names = sorted(name for name in app.tasks if not name.startswith('celery.'))\n"
            "assert names == ['shop.tasks.' + name for name in\n"
            "    ('book', 'chapter', 'resize', 'send_receipt', 'sums')], names\n"
        )
        with move.worker():
            site.shell(
                "from shop.tasks import sums\nassert sums.delay('x').get(timeout=60) == 'x sums'"
            )
        site.shell(SEND)
        for step in "2345":
            go(step)
        the_forwarders_forward(move)
        command, *_ = parts["6"]
        move.play(command)
        what_it_does_not_know_stays(site)
        parts["6"].remove(command)
        go("6")
    finally:
        site.close()
    ours, tasks = Site(site.folder, packages, server.url), site.folder / "shop/tasks.py"
    tasks.write_text(tasks.read_text().replace(move.framework, framework(ours)))
    without_celery(ours)


def the_forwarders_forward(move: Move) -> None:
    site = move.site
    site.close()
    with move.worker():
        site.shell(
            "from mysite.celery import app\n"
            "import time\n"
            "from queuecore import Queue\n"
            "receipts, pictures = Queue('receipts'), Queue('pictures')\n"
            "deadline = time.monotonic() + 60\n"
            "while not (receipts.get_waiting_count() and pictures.count()):\n"
            "    assert time.monotonic() < deadline\n"
            "    time.sleep(0.05)\n"
            "while not [key for key in app.backend.client.scan_iter('celery-task-meta-*')\n"
            "           if b'\"result\": 600' in (app.backend.client.get(key) or b'')]:\n"
            "    assert time.monotonic() < deadline\n"
            "    time.sleep(0.05)\n"
        )
    site.manage("runworker", "--burst")
    site.shell(
        "told = {job.id: job.returnvalue for job in receipts.get_jobs(['completed'])}\n"
        "assert set(told.values()) == {'receipt to 7', 'receipt to 1'}, told\n"
        "told = {job.returnvalue for job in pictures.get_jobs(['completed'])}\n"
        "assert told == {'cat-400.jpg', 'dog-400.jpg'}, told\n"
    )


def what_it_does_not_know_stays(site: Site) -> None:
    site.shell("from mysite.celery import app\napp.send_task('shop.tasks.other')")
    answer = site.manage("leave_celery", ok=False)
    assert "KeyError: 'shop.tasks.other'" in answer.stderr, answer.stderr
    site.shell(
        "with app.connection_for_read() as connection:\n"
        "    redis = connection.default_channel.client\n"
        "    left = [one for one in redis.lrange('celery', 0, -1) if b'shop.tasks.other' in one]\n"
        "    assert len(left) == 1 and redis.hlen('unacked') == 0, left\n"
        "    redis.lrem('celery', 1, left[0])\n"
    )


def without_celery(site: Site) -> None:
    """What is left works in a Python that has no celery, and has the job due tomorrow."""
    site.run("python", "-c", "import importlib.util as u; assert u.find_spec('celery') is None")
    for path in site.folder.rglob("*.py"):
        assert "celery" not in path.read_text().lower(), path
    assert site.manage("check").stdout == SILENT
    site.shell(
        "from queuecore import Queue\n"
        "receipts = Queue('receipts')\n"
        "later = receipts.get_jobs(['delayed'])\n"
        "assert {job.data['user_id'] for job in later} == {8, 2}, later\n"
        "assert all(80_000 < job.delay <= 86_400 for job in later), later\n"
        "assert receipts.promote_jobs() == 2\n"
        "from shop.orders import uploaded\n"
        "result = uploaded('bird')\n"
    )
    site.manage("runworker", "--burst")
    site.shell(
        "assert not receipts.count() and receipts.get_completed_count() == 4\n"
        "result.refresh(); assert result.return_value == 'bird-400.jpg'\n"
    )
    site.close()


def test_the_project_of_the_last_step(site: Site, server: Server) -> None:
    """All files and edits of the page; then its examples, but for those that need Celery."""
    move = Move(site, server, celery=False)
    marked = [block for part in sections().values() for block in part if block.mark]
    run = [one for one in marked if one.mark in ("shell", "commands") and "rm " not in one.text]
    for block in marked:
        if block not in run:
            move.play(block)
    # All but workers in one process: more starts of ``manage.py`` would say nothing more.
    for block in run:
        if block.mark == "commands" and "runworker" not in block.text:
            lines = [shlex.split(line)[2:] for line in block.text.splitlines()]
            calls = "".join(f"call_command(*{words})\n" for words in lines)
            block = replace(block, mark="shell", text=f"{COMMANDS}{calls}")
        move.play(block)
