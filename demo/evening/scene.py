"""Sets the evening's stage and keeps it going: ``python -m demo.evening.scene plant|stream|order``.

``plant`` writes the history of a day, failed jobs and what waits; the web server and the workers
come after it. ``stream`` adds jobs until it is told to stop. ``order`` starts operations.
"""

import math
import random
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import django

USER, PASSWORD = "ada", "one evening only"

#: Of each queue: jobs that finish in a minute, and how many wait.
QUEUES = {
    "emails": (170, 6),
    "payments": (40, 1),
    "orders": (18, 0),
    "images.thumbnails": (24, 3),
    "search.index": (110, 4),
    "video.transcode": (5, 9),
    "exports": (2, 1),
    "webhooks": (46, 2),
    "housekeeping": (4, 0),
    "sms": (30, 0),
    "crm:sync": (12, 0),
    "legacy:invoices": (3, 0),
}
#: Minutes ago: partners stopped answering, the texts were paused, the workers of crm:sync ended.
FAILING, PAUSED, ORPHANED = 22, 31, 76
FAILED, TEXTS, SYNCS = 214, 187, 912
#: Webhooks of those partners that still wait, each in its group.
HELD = 130

#: Where webhooks go that are answered.
PARTNERS = (
    "https://hooks.contoso.example/in",
    "https://hooks.contoso.example/in",
    "https://in.adventure-works.example/events",
    "https://api.tailspin.example/hooks",
)

_dice = random.Random(7)
_stop = threading.Event()


def main() -> int:
    """Do the one thing that was asked for."""
    django.setup()
    {"plant": plant, "stream": stream, "order": order}[sys.argv[1]]()
    return 0


def plant() -> None:
    """A user, a day of history, failed jobs, and what waits for nobody."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    from queuecore import Queue

    call_command("migrate", interactive=False, verbosity=0)
    names = {"first_name": "Ada", "last_name": "Lindqvist"}
    get_user_model().objects.create_superuser(USER, "ada@shop.example", PASSWORD, **names)
    now = time.time()
    for name, count, job, since in (
        ("sms", TEXTS, text_message, PAUSED),
        ("crm:sync", SYNCS, contact, ORPHANED),
        ("legacy:invoices", 0, contact, 0),
    ):
        queue = Queue.existing(name)
        specs = [
            job(now - 60 * since * (1 - number / max(count, 1))) for number in range(count or 1)
        ]
        queue.add_bulk(specs)
    Queue("webhooks").add_bulk(webhook(down=True) for _ in range(FAILED))
    subprocess.run([sys.executable, "manage.py", "runworker", "webhooks", "--burst"], check=True)
    spread_failures()
    hold_back()
    times(time.time())
    timetable()
    history(time.time())


def hold_back() -> None:
    """What an operator did about the partners that are away: one is slowed down, one waits."""
    from queuecore import Queue

    queue = Queue("webhooks")
    queue.set_group_rate_limit("northwind", 20, 60)
    queue.pause_group("fabrikam")
    queue.add_bulk(webhook(down=True) for _ in range(HELD))


def spread_failures() -> None:
    """Let the failures stand over the time in which the partners were away."""
    from queuecore import Queue
    from queuecore.wire.calls.base import Command
    from queuecore.wire.connections import get_connection

    queue, connection = Queue("webhooks"), get_connection()
    jobs = queue.get_failed()
    begin = time.time() - FAILING * 60
    for number, job in enumerate(jobs):
        at = begin + FAILING * 60 * number / len(jobs) - _dice.uniform(0, 9)
        finished, key = round(at * 1000), f"bull:webhooks:{job.id}"
        times = ("timestamp", finished - 4_100, "processedOn", finished - 320)
        connection.run(Command(("HSET", key, *times, "finishedOn", finished)))
        connection.run(Command(("ZADD", "bull:webhooks:failed", finished, job.id)))


def history(now: float) -> None:
    """A week by the quarter of an hour, a day by the minute, a quarter of an hour by the second."""
    from queuecore.history.record import Figures, Record
    from queuecore.wire.calls.keeping import keep_history
    from queuecore.wire.connections import get_connection

    connection = get_connection()

    def figures(at: float, seconds: int) -> dict[str, Any]:
        ago = (now - at) / 60
        # Busy at noon and in the evening, quiet at night.
        hour = (at / 3600) % 24
        share = 0.55 + 0.3 * math.sin((hour - 9) / 24 * 2 * math.pi) + 0.15 * math.sin(hour)
        found = {}
        for name, (rate, waits) in QUEUES.items():
            done = max(rate * share * _dice.uniform(0.8, 1.2), 0) * seconds / 60
            waiting, failed, lost = round(waits * _dice.uniform(0, 2)), 0, 0.0
            if name == "webhooks" and ago < FAILING:
                lost = FAILED / FAILING * seconds / 60 * _dice.uniform(0.6, 1.4)
                failed = round(FAILED * (1 - ago / FAILING))
                done = max(done - lost, 0)
            if name == "sms" and ago < PAUSED:
                done, waiting = 0, round(TEXTS * (1 - ago / PAUSED))
            if name == "crm:sync" and ago < ORPHANED:
                done, waiting = 0, round(SYNCS * (1 - ago / ORPHANED))
            if name == "legacy:invoices":
                done, waiting = 0, 1
            found[name] = Figures(
                waiting=waiting,
                active=round(done * 0.02) if done else 0,
                failed=failed,
                done=whole(done),
                lost=whole(lost),
                # What BullMQ's own metrics hold by now is no news to whoever counts from here on.
                lost_total=FAILED if name == "webhooks" else -1,
            )
        return found

    def whole(value: float) -> int:
        return int(value) + (_dice.random() < value % 1)

    end = int(now) // 900 * 900
    for quarter in range(end - 671 * 900, end + 1, 900):
        text = Record(quarter, 900, True, figures(quarter, 900)).encode()
        connection.run(keep_history("bull", "evening", 5_000, quarter=text))
    end = int(now) // 60 * 60
    for minute in range(end - 1439 * 60, end + 1, 60):
        record = Record(minute, 60, True, figures(minute, 60))
        connection.run(keep_history("bull", "evening", 5_000, "", record.encode()))
    for second in range(int(now) - 899, int(now) + 1):
        record = Record(second, 1, True, figures(second, 1))
        connection.run(keep_history("bull", "evening", 5_000, record.encode(), ""))
    connection.run(keep_history("bull", "evening", 0))


#: How long jobs of a queue usually run (seconds, half of them), and how their names share them.
RUNS: dict[str, tuple[float, dict[str, float]]] = {
    "emails": (0.2, {"receipt.send": 0.6, "welcome.send": 0.4}),
    "payments": (0.6, {"payment.capture": 1.0}),
    "orders": (0.004, {"order.fulfil": 1.0}),
    "images.thumbnails": (3.4, {"thumbnail.make": 1.0}),
    "exports": (38.0, {"orders.export": 1.0}),
    "webhooks": (0.16, {"order.paid": 0.5, "order.shipped": 0.28, "refund.created": 0.22}),
    "housekeeping": (2.0, {"sessions.prune": 0.3, "carts.expire": 0.7}),
}


def times(now: float) -> None:
    """What workers would have told of a week: how long jobs waited and ran, and how they ended."""
    from queuecore import Queue
    from queuecore.histogram import bucket
    from queuecore.statistics import Statistics
    from queuecore.wire.calls.base import Command
    from queuecore.wire.calls.counting import count_runs
    from queuecore.wire.connections import get_connection

    connection = get_connection()
    # The errors that the burst ended with are of the last minutes, not of this one.
    known = connection.run(Command(("HGETALL", "qc:bull:webhooks:errors"), list))
    told = {key.decode(): value for key, value in zip(known[::2], known[1::2], strict=True)}
    errors = {key[:-5]: value for key, value in told.items() if key.endswith(":what")}
    counts = {id: int(told[f"{id}:count"]) for id in errors}
    Statistics("webhooks").forget()

    def spread(seconds: float, count: int, letter: str) -> dict[str, int]:
        """So many times around *seconds*, by bucket."""
        fields: dict[str, int] = {}
        samples = min(count, 40)
        for number in range(samples):
            ms = seconds * 1000 * _dice.lognormvariate(0, 0.5)
            weight = (count + number) // samples
            field = f"{letter}{bucket(ms)}"
            fields[field] = fields.get(field, 0) + weight
            whole = letter.upper()
            fields[whole] = fields.get(whole, 0) + round(ms * 1000) * weight
        return {field: value for field, value in fields.items() if value}

    number, minute = 0, int(now) // 60
    # By the hour, by the quarter of an hour, by the minute: as exact as it is kept.
    starts = [*range(minute - 167 * 60, minute - 1500, 60)]
    starts += [*range(minute - 1500, minute - 180, 15), *range(minute - 180, minute)]
    ends = [*starts[1:], minute]
    for start, end in zip(starts, ends, strict=True):
        hour = (start / 60) % 24
        share = 0.55 + 0.3 * math.sin((hour - 9) / 24 * 2 * math.pi) + 0.15 * math.sin(hour)
        ago = minute - start
        for queue, (seconds, names) in RUNS.items():
            down = queue == "webhooks" and ago < FAILING
            slow = 1.6 if queue == "payments" and 90 < ago < 140 else 1.0
            read: dict[str, dict[str, int]] = {}
            for name, part in names.items():
                rate = QUEUES[queue][0] * share * part * (end - start) * _dice.uniform(0.85, 1.15)
                done = int(rate) + (_dice.random() < rate % 1)
                lost = round(done * 0.6) if down else 0
                if not done:
                    continue
                runs = spread(seconds * slow * _dice.uniform(0.9, 1.1), done - lost, "r")
                for field, count in spread(9.4, lost, "r").items():
                    runs[field] = runs.get(field, 0) + count
                wait = 0.02 + 0.1 * share * (slow + 3 * down * (FAILING - ago))
                read[name] = {"n": done, "c": done - lost, "r": lost, **runs}
                read[name] |= spread(wait, done, "w")
                read[name] = {field: count for field, count in read[name].items() if count}
            if read:
                number += 1
                first = round((now - 60 * FAILING) * 1000)
                last = min(round(now * 1000), 60_000 * end)
                some = [
                    (id, max(counts[id] // FAILING, 1), first, last, what)
                    for id, what in errors.items()
                    if down
                ]
                keys = Queue.existing(queue).keys
                call = count_runs(keys, "evening", number, start, last, read, some)
                connection.run(call)


def timetable() -> None:
    """What is to be done by the clock; one of them in a queue that nobody works."""
    from queuecore import Queue

    tidy, exports = Queue("housekeeping"), Queue("exports")
    tidy.upsert_job_scheduler("expire-carts", every=20, name="carts.expire", data={"hours": 2})
    tidy.upsert_job_scheduler("rotate-keys", pattern="0 4 * * sun", tz="Europe/Berlin", name="keys")
    tidy.upsert_job_scheduler(
        "prune-sessions", pattern="*/2 * * * *", tz="UTC", name="sessions.prune", data={"days": 14}
    )
    exports.upsert_job_scheduler(
        "nightly-ledger", pattern="30 2 * * *", tz="Europe/Berlin", name="ledger.export"
    )
    exports.upsert_job_scheduler(
        "monthly-vat", pattern="0 6 1 * *", tz="Europe/Berlin", name="vat.report"
    )
    Queue("emails").upsert_job_scheduler(
        "morning-digest", pattern="0 7 * * mon-fri", tz="Europe/Berlin", name="digest.send"
    )
    Queue("payments").upsert_job_scheduler(
        "settle", pattern="*/15 * * * *", tz="Europe/Berlin", name="payments.settle"
    )
    Queue.existing("crm:sync").upsert_job_scheduler("full-sync", every=30, name="crm.full")


def text_message(at: float) -> Any:
    from queuecore import JobSpec

    data = {"to": f"+49 151 {_dice.randrange(10**7):07}", "template": "parcel.today"}
    return JobSpec("sms.send", data, timestamp=moment(at))


def contact(at: float) -> Any:
    from queuecore import JobSpec

    data = {"contact": f"c-{_dice.randrange(10**5):05}", "fields": ["address", "consent"]}
    return JobSpec("contact.push", data, timestamp=moment(at))


def webhook(*, down: bool = False) -> Any:
    from urllib.parse import urlsplit

    from demo.evening.processors import AGAIN, DOWN
    from queuecore import Group, JobSpec

    endpoint = _dice.choices([*DOWN], (4, 1))[0] if down else _dice.choice(PARTNERS)
    partner = (urlsplit(endpoint).hostname or "").split(".")[-2]
    event = _dice.choice(("order.paid", "order.paid", "order.shipped", "refund.created"))
    data = {
        "endpoint": endpoint,
        "event": event,
        "order": f"ord-{_dice.randrange(40_000, 49_999)}",
        "total": f"{_dice.uniform(9, 240):.2f}",
    }
    return JobSpec(event, data, group=Group(partner), **AGAIN)


def moment(at: float) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC)


def stream() -> None:
    """Add jobs as the day's last customers cause them, until told to stop."""
    from queuecore import FlowJob, FlowProducer, JobSpec, Queue

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop.set())

    def some_order() -> dict[str, Any]:
        return {
            "order": f"ord-{_dice.randrange(50_000, 59_999)}",
            "customer": _dice.choice(("Ann Baker", "Ben Osei", "Elif Kaya", "Jonas Weber")),
            "amount": f"{_dice.uniform(9, 240):.2f}",
            "currency": "EUR",
        }

    def flow() -> None:
        data = some_order()
        children = [
            FlowJob("payment.capture", data, queue="payments"),
            FlowJob("search.reindex", data, queue="search.index"),
            FlowJob("receipt.send", data, queue="emails"),
            FlowJob("label.print", data, queue="images.thumbnails"),
        ]
        if _dice.random() < 0.06:
            children.append(FlowJob("sms.send", data, queue="sms"))
        FlowProducer().add(FlowJob("order.fulfil", data, queue="orders", children=children))

    usual = {
        "emails": (2.4, lambda: JobSpec(_dice.choice(("receipt.send", "welcome.send")), {
            "to": f"customer-{_dice.randrange(9_999)}@mail.example", "locale": "de"})),
        "payments": (0.4, lambda: JobSpec("payment.capture", some_order())),
        "images.thumbnails": (0.3, lambda: JobSpec("thumbnail.make", {
            "picture": f"p-{_dice.randrange(10**6):06}.jpg"}, priority=_dice.choice((1, 5)))),
        "search.index": (1.5, lambda: JobSpec("product.reindex", {
            "sku": f"SKU-{_dice.randrange(10**4):04}"})),
        "video.transcode": (0.12, lambda: JobSpec("clip.transcode", {
            "clip": f"v-{_dice.randrange(10**4):04}.mov"})),
        "exports": (0.03, lambda: JobSpec("orders.export", {"month": "2026-10"})),
        "webhooks": (0.7, lambda: webhook(down=_dice.random() < 0.25)),
    }  # fmt: skip
    Queue("emails").add_bulk(
        JobSpec("cart.remind", {"to": f"customer-{n}@mail.example"}, delay=600 + 90 * n)
        for n in range(38)
    )
    while not _stop.wait(0.5):
        for name, (rate, make) in usual.items():
            for _ in range(int(rate / 2) + (_dice.random() < rate / 2 % 1)):
                Queue(name).add_bulk([make()])
        if _dice.random() < 0.15:
            flow()


def order() -> None:
    """Start one operation that is soon done, and one that lasts, unless one is far from its end."""
    from django.contrib.auth import get_user_model

    from queuecore import Queue, operations
    from queuecore.matching import Filter
    from queuecore.models import Operation

    ada = get_user_model().objects.get(username=USER)
    common: dict[str, Any] = {"actor": ada, "alias": "default"}
    now = round(time.time() * 1000)
    if not Operation.objects.exists():
        done = Queue("webhooks").get_job_counts("completed")["completed"]
        operations.start(
            **common, action="remove", queue="webhooks", filter=Filter.parse("completed", ""),
            bound_ms=now, planned=done, reason="Delivered, and on record at the partners",
        )  # fmt: skip
    elif Operation.objects.filter(ended_at=None, done__lt=90).exists():
        return
    operations.start(
        **common, action="retry", queue="webhooks", filter=Filter.parse("failed", "name:order.*"),
        bound_ms=now, planned=160, rate=1, reason="Northwind says that it answers again",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
