"""The examples of every page, run from top to bottom in a project of somebody else's."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import call_command

from queuecore import Queue
from queuecore.contrib.tasks.framework import IS_DJANGOS
from tests.examples.markdown import blocks, rows
from tests.examples.site import Site, until
from tests.examples.test_quickstart import fetch, free_port
from tests.machine import PEERS, ROOT
from tests.servers import Server

pytestmark = pytest.mark.timeout(300)

# Every page that has examples; those of the first two are run by test_quickstart.py, those of
# embed.md by test_embedding.py, those of the move from Celery by test_migration.py.
PAGES = [
    "README.md",
    "docs/quickstart.md",
    "docs/howto/admin.md",
    "docs/howto/dashboard.md",
    "docs/howto/deduplication.md",
    "docs/howto/embed.md",
    "docs/howto/events.md",
    "docs/howto/flows.md",
    "docs/howto/limits.md",
    "docs/howto/logging.md",
    "docs/howto/metrics.md",
    "docs/howto/migrate-from-celery.md",
    "docs/howto/processors.md",
    "docs/howto/operate-from-the-shell.md",
    "docs/howto/producers.md",
    "docs/howto/production.md",
    "docs/howto/schedulers.md",
    "docs/howto/telemetry.md",
    "docs/howto/testing.md",
    "docs/howto/transactions.md",
    "docs/howto/with-node-bullmq.md",
    "docs/howto/dead-letters.md",
    "docs/howto/django-tasks.md",
    "docs/howto/groups.md",
    "docs/howto/sandboxes.md",
    "docs/howto/worker-control.md",
    "docs/howto/workers.md",
    "docs/reference/settings.md",
    "docs/reference/signals.md",
]


def play(site: Site, page: str) -> None:
    for block in blocks(ROOT / page):
        if block.mark:
            site.play(block)


def test_admin(shop: Site) -> None:
    play(shop, "docs/howto/admin.md")


def test_producers(shop: Site) -> None:
    play(shop, "docs/howto/producers.md")


def test_deduplication(shop: Site) -> None:
    play(shop, "docs/howto/deduplication.md")


@pytest.mark.parametrize("page", ["events", "worker-control", "metrics", "telemetry"])
def test_events_and_one_worker(shop: Site, page: str) -> None:
    play(shop, f"docs/howto/{page}.md")


def test_django_tasks(shop: Site) -> None:
    for block in blocks(ROOT / "docs/howto/django-tasks.md"):
        text = block.text
        if not IS_DJANGOS:
            text = text.replace("from django.tasks import", "from django_tasks import")
        if block.mark:
            shop.play(replace(block, text=text))


def test_dead_letters(shop: Site) -> None:
    play(shop, "docs/howto/dead-letters.md")
    shop.shell("from queuecore import Queue\nQueue('payments').add('card', {'sum': 7})\n")
    shop.manage("runworker", "payments", "--burst")
    shop.manage("runworker", "payments-dead", "--burst")
    shop.shell(
        "from queuecore import Queue\n"
        "(letter,) = Queue('payments-dead').get_jobs(['completed'])\n"
        "assert (letter.name, letter.returnvalue) == ('card', '1')\n"
    )


def test_groups(shop: Site) -> None:
    play(shop, "docs/howto/groups.md")
    shop.shell("from shop.processors import order_export\norder_export('4', 7)\n")
    shop.manage("runworker", "exports", "--burst")
    shop.shell(
        "from queuecore import Queue\n"
        "(job,) = Queue('exports').get_jobs(['completed'])\n"
        "assert job.returnvalue == 'tenant-4: 7 rows'\n"
    )


def test_sandboxes(shop: Site) -> None:
    play(shop, "docs/howto/sandboxes.md")
    shop.append("shop/processors.py", "\nfrom .reports import report")
    shop.shell("from queuecore import Queue\nQueue('reports').add('monthly')\n")
    shop.manage("runworker", "--burst")
    shop.shell(
        "from queuecore import Queue\n"
        "(job,) = Queue('reports').get_jobs(['completed'])\n"
        "assert (job.returnvalue, job.progress) == ({'pages': 3}, 10)\n"
        'assert job.get_logs()[0] == ["a line for the job\'s log"]\n'
    )


def test_limits(shop: Site) -> None:
    # The page's shell has read the settings before the page comes to them.
    shop.append("mysite/settings.py", 'QUEUECORE = {"LIMITS": {"stripe": {}}}')
    play(shop, "docs/howto/limits.md")
    shop.shell(
        "import time\n"
        "from queuecore import JobSpec, Queue\n"
        "places = Queue('geocoding').add_bulk(JobSpec('x', {'city': n}) for n in range(12))\n"
        "day = Queue('weather').add('today')\n"
        "paid = [Queue(one).add('x') for one in ('charges', 'refunds', 'refunds')]\n"
        "begun = time.monotonic()\n"
    )
    shop.manage("runworker", "--burst")
    shop.shell(
        "assert time.monotonic() - begun >= 2\n"
        "for one in [*places, day]: one.refresh()\n"
        "assert {one.get_state() for one in [*places, day]} == {'completed'}\n"
        "assert (day.attempts_started, day.attempts_made, day.returnvalue) == (2, 1, 'sunny')\n"
        "assert [one.result(5)[-3:] for one in paid] == ['ged', 'ded', 'ded']\n"
        "limit = stripe.get()\n"
        "assert (limit.concurrency, limit.started) == (5, 3)\n"
        "assert [one.name for one in limit.queues] == ['charges', 'refunds']\n"
        "starts = sorted(one.processed_on for one in places)\n"
        "assert (starts[5] - starts[0]).total_seconds() > 0.9\n"
        "assert (starts[10] - starts[5]).total_seconds() > 0.9\n"
    )


@pytest.mark.django_db(transaction=True)
def test_operating_from_the_shell(server: Server) -> None:
    """In this process: ten times the start of ``manage.py`` would say nothing more."""
    Queue("orders").add("x")
    for block in blocks(ROOT / "docs/howto/operate-from-the-shell.md"):
        if block.mark == "commands":
            for line in block.text.splitlines():
                call_command(*shlex.split(line, comments=True)[2:])


def test_flows(shop: Site) -> None:
    play(shop, "docs/howto/flows.md")


def test_workers(shop: Site) -> None:
    shop.append("shop/services.py", "def is_open() -> bool:\n    return True")
    play(shop, "docs/howto/workers.md")
    shop.shell(
        "from queuecore import Backoff, Queue\n"
        "from django.contrib.auth.models import User\n"
        "jane = User.objects.create_user('jane')\n"
        "emails, reports = Queue('emails'), Queue('reports')\n"
        "done = [emails.add('welcome', {'user_id': jane.pk}), emails.add('bye'),\n"
        "        reports.add('month', {'month': 2}), reports.add('month', {'month': 3}),\n"
        "        Queue('calls').add('now'), Queue('imports').add('rows', {'rows': [1, 2]})]\n"
        "failed = reports.add('month', {'month': 13}, attempts=5)\n"
        "nobody = {'user_id': 0}\n"
        "later = emails.add('welcome', nobody, attempts=3, backoff=Backoff.custom('polite'))\n"
        "never = emails.add('welcome', nobody, attempts=3, backoff=Backoff.custom('rude'))\n"
    )
    log = shop.manage("runworker", "--burst").stderr
    assert "2 rows by job" in log or "imports" in log
    shop.shell(
        "for one in [*done, failed, later, never]: one.refresh()\n"
        "assert [one.get_state() for one in done] == ['completed'] * 6\n"
        "assert done[0].returnvalue == {'sent_to': 'jane'}\n"
        "assert {done[2].returnvalue, done[3].returnvalue} == {1, 2}\n"
        "assert (done[4].returnvalue, done[5].returnvalue) == ('called', 2)\n"
        "assert (failed.get_state(), failed.attempts_made) == ('failed', 1)\n"
        "assert later.get_state() == 'delayed' and later.delay == 60, later.delay\n"
        "assert never.get_state() == 'failed' and never.attempts_made == 1\n"
    )
    # The same processors in a shop that is closed.
    shop.append("shop/services.py", "def is_open() -> bool:\n    return False")
    shop.shell("job = Queue('calls').add('later')")
    shop.manage("runworker", "calls", "--burst")
    shop.shell("job.refresh(); assert (job.get_state(), job.delay) == ('delayed', 600)")


def test_processors(shop: Site) -> None:
    page = "docs/howto/processors.md"
    shop.append("shop/mail.py", "")
    for block in sorted(blocks(ROOT / page), key=lambda block: block.mark == "shell"):
        shop.play(block)
    quoted = re.search(r"^> (.+)\n> (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert quoted
    shop.shell(
        "from queuecore import JobSpec\n"
        f"bad = {{'user': 7, 'items': [{{'sku': 'mug', 'price': None}}]}}\n"
        "try:\n"
        "    receipts.add('receipt', bad)\n"
        "except InvalidPayload as error:\n"
        "    told = str(error)\n"
        f"assert told == {' '.join(quoted.groups())!r}, told\n"
        "names = ['reminder', 'last reminder']\n"
        "mails = Queue('mails').add_bulk(JobSpec(name, {'user_id': 7}) for name in names)\n"
        "mails.append(Queue('mails').add('receipt', Receipt(7)))\n"
    )
    shop.manage("runworker", "--burst")
    shop.shell(
        "done = receipts.get_jobs(['completed'])\n"
        "assert {one.returnvalue for one in done} == {'12.50 by 7', '0 by 7'}\n"
        "for one in mails: one.refresh()\n"
        "told = [one.returnvalue for one in mails]\n"
        "assert told == ['reminder to 7', 'last reminder to 7', 'your receipt to 7'], told\n"
    )
    assert "Ran 1 test" in shop.manage("test").stderr


def test_signals(shop: Site) -> None:
    play(shop, "docs/reference/signals.md")
    shop.append(
        "shop/apps.py",
        "    def ready(self) -> None:\n        from . import receivers  # noqa: F401",
    )
    shop.append(
        "shop/processors.py",
        "import atexit\n"
        "from queuecore import processor\n"
        "from queuecore.signals import worker_stopped\n"
        "from shop.receivers import failures\n\n\n"
        "def write(**kwargs):\n"
        "    open('failures.txt', 'w').write(str(failures))\n\n\n"
        "worker_stopped.connect(write)\n\n\n"
        "@processor('broken')\n"
        "def broken(job):\n"
        "    raise ValueError('no')\n",
    )
    shop.shell("from queuecore import Queue\nQueue('broken').add('x', attempts=2)\n")
    shop.manage("runworker", "--burst")
    said = (shop.folder / "failures.txt").read_text()
    assert said == "['broken: x 1 failed for good: no']"


def test_testing(shop: Site) -> None:
    shop.environment["QUEUECORE_URL"] = "redis://127.0.0.1:1/0"  # tests must not ask for it
    play(shop, "docs/howto/testing.md")
    # Each process has a server of its own, and leaves none behind.
    assert "Ran 11 tests" in shop.manage("test", "--parallel", "2", "shop.tests").stderr


def test_transactions(shop: Site) -> None:
    play(shop, "docs/howto/transactions.md")
    assert "default: 1 wait" in shop.manage("outbox").stdout
    shop.append(
        "shop/processors.py",
        "from queuecore import processor\n\n\n"
        "@processor('emails')\n"
        "def send(job):\n"
        "    return job.data\n",
    )
    shop.manage("runworker", "--burst")
    shop.shell(
        "job = emails.get_job(job_id)\n"
        "assert job.returnvalue == {'user_id': user.pk}, job.get_state()\n"
        "assert emails.get_completed_count() == 5\n"
    )
    assert "default: 0 wait" in shop.manage("outbox").stdout


def test_dashboard(shop: Site) -> None:
    play(shop, "docs/howto/dashboard.md")
    shop.shell(
        "from queuecore import Queue, access\n"
        "for name in ('mail-out', 'jane-own', 'other'): Queue(name).add('job')\n"
        "jane = User.objects.get(username='jane')\n"
        "assert access.can(jane, 'retry') and not access.can(jane, 'obliterate')\n"
        "assert access.scope(jane).allows('default', 'mail-out')\n"
        "assert not access.scope(jane).allows('default', 'jane-own')\n"
    )
    shop.close()  # by now its settings name the class of the page
    shop.shell(
        "from django.contrib.auth.models import User\n"
        "from queuecore import access, audit\n"
        "jane = User.objects.get(username='jane')\n"
        "assert not access.scope(jane).allows('default', 'mail-out')\n"
        "assert access.scope(jane).allows('default', 'jane-own')\n"
        "assert audit.signing_key()[0] == '2026'\n"
    )
    port = free_port()
    with shop.background("python", "-m", "daphne", "-p", str(port), "mysite.asgi:application"):
        mount = f"http://127.0.0.1:{port}/queues/"
        until(lambda: fetch(mount)[0], "the start of daphne")
        status, address, page = fetch(mount)
        assert (status, address) == (200, f"{mount}login/?next=/queues/")
        assert "production" in page
    shop.shell(
        "from django.test import Client\n"
        "client = Client(); client.force_login(jane)\n"
        "page = client.get('/queues/queues/', headers={'host': 'localhost'}).content.decode()\n"
        "assert '/queues/jane-own/' in page and '/queues/other/' not in page, page\n"
    )
    # What WSGI serves tells no address of a socket.
    shop.shell("assert '/queues/ws/' not in page")
    shop.manage("verify_audit")


def test_production(shop: Site) -> None:
    play(shop, "docs/howto/production.md")
    shop.shell(
        "from queuecore import Queue\n"
        "Queue('emails').add('welcome')\n"
        "from shop.views import queues\n"
        "from django.test import RequestFactory\n"
        "import json\n"
        "answer = json.loads(queues(RequestFactory().get('/')).content)\n"
        "assert answer['emails']['waiting'] == 1 and answer['emails']['seconds'] <= 60, answer\n"
        "assert 'seconds' not in answer['reports'], answer\n"
    )


def test_schedulers(shop: Site) -> None:
    play(shop, "docs/howto/schedulers.md")
    shop.close()  # by now its settings name the strategy of the page
    shop.shell(
        "from queuecore import Queue\n"
        "queue = Queue('strategy')\n"
        "queue.upsert_job_scheduler('s', pattern='workday', tz='UTC')\n"
        "run = queue.get_job_scheduler('s').next\n"
        "assert run.hour == 9 and run.weekday() < 5, run\n"
    )


def test_settings(shop: Site) -> None:
    play(shop, "docs/reference/settings.md")
    shop.manage("check")
    shop.shell(
        "from queuecore.conf import get_settings\n"
        "found = get_settings()\n"
        "assert list(found.connections) == ['default', 'reports']\n"
        "assert (found.worker.concurrency, found.worker.shutdown_timeout) == (20, 50)\n"
    )


@pytest.mark.crosswise
def test_with_node(shop: Site, node: Path, bullmq: Path, server: Server) -> None:
    play(shop, "docs/howto/with-node-bullmq.md")
    service = shop.folder / "service"
    (service / "node_modules").symlink_to(PEERS / bullmq.name / "node_modules")
    shop.shell("emails = Queue('emails')")
    with shop.background(str(node), str(service / "add.mjs")) as adding:
        until(lambda: waits(server, "bull:emails:wait"), "the job of Node's")
        shop.manage("runworker", "emails", "--burst")
        assert adding.wait(30) == 0, (shop.folder / "background.log").read_text()
    assert "{ sent_to: 7 }" in (shop.folder / "background.log").read_text()
    with shop.background(str(node), str(service / "work.mjs")) as working:
        (waiting,) = [
            block
            for block in blocks(ROOT / "docs/howto/with-node-bullmq.md")
            if "job.result" in block.text
        ]
        shop.shell(waiting.text)
        shop.shell("assert job.result(timeout=1) == {'file': '12.pdf'}")
    assert working.returncode == 0, (shop.folder / "background.log").read_text()


def waits(server: Server, key: str) -> int:
    with server.client() as client:
        return int(client.llen(key))


@pytest.mark.crosswise
def test_options_of_both_languages(shop: Site, node: Path, bullmq: Path, server: Server) -> None:
    """The table of options: what Node writes for its column is what we write for ours."""
    page = (ROOT / "docs/howto/with-node-bullmq.md").read_text()
    pairs = [
        (ours.replace("`", ""), theirs.replace("`", ""))
        for ours, theirs in (row for row in rows(page) if len(row) == 2)
        if ours.startswith("`") and "." not in ours.split("=")[0]
    ]
    assert len(pairs) == 13
    (shop.folder / "node_modules").symlink_to(PEERS / bullmq.name / "node_modules")
    script = shop.folder / "add.mjs"
    adds = [f"await queue.add('job', {{}}, {{ {theirs} }});" for _, theirs in pairs]
    script.write_text(
        "import { Queue } from 'bullmq';\nimport { Redis } from 'ioredis';\n"
        f"const connection = new Redis({json.dumps(str(server.socket))});\n"
        "const queue = new Queue('node', { connection });\n"
        + "\n".join([*adds, "await queue.close();", "connection.disconnect();"])
    )
    shop.run(str(node), str(script))
    shop.shell(
        "from queuecore import *\nfrom queuecore import Backoff, Deduplication, Keep\n"
        "queue = Queue('ours')"
    )
    for ours, _ in pairs:
        shop.shell(f"queue.add('job', {{}}, {ours})")
    with server.client() as client:
        for number, pair in enumerate(pairs, start=1):
            name = "order-12" if "order-12" in pair[0] else number
            twins = [client.hgetall(f"bull:{queue}:{name}") for queue in ("node", "ours")]
            for one in twins:
                one["opts"] = json.loads(one["opts"])
                del one["timestamp"]
            assert twins[0] == twins[1], pair
