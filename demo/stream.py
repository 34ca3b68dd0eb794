"""The shop's day: a gentle stream of jobs, as customers, photographers and editors cause them.

``python -m demo.stream`` adds about one job a second until it is told to stop; ``make demo`` runs
it beside the web server and the worker. On opening it adds some at once, so that every state has
jobs from the start: a short backlog, delayed ones, some that fail, and a campaign in a queue that
is paused until somebody releases it.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import django

from demo import pictures
from demo.file_processing import services as file_processing
from queuecore import Backoff, Group, JobSpec, Queue
from queuecore.errors import ServerUnavailable

CUSTOMERS = (
    *("Ann Baker", "Ben Osei", "Chiara Rossi", "Dmitri Volkov", "Elif Kaya", "Farah Haddad"),
    *("Grace Kim", "Hugo Martin", "Ines Costa", "Jonas Weber", "Kofi Mensah", "Lena Nowak"),
)
PRODUCTS = (
    *("Desk lamp", "Linen apron", "Oak stool", "Stone mug", "Wool blanket", "Tin kettle"),
    *("Garden fork", "Paper kite", "Brass bell", "Cork mat"),
)
SEASONS = ("Spring", "Summer", "Autumn", "Winter")

MAIL = {"attempts": 3, "backoff": Backoff.exponential(2)}
WEBHOOK = {"attempts": 5, "backoff": Backoff.exponential(1, jitter=0.5)}

CAMPAIGN = 25  # copies of one newsletter
CAMPAIGN_PAUSE = 600  # seconds from the release of one campaign to the next
CATALOGUE = 60  # pages
PRICES, PRICES_PAUSE = 90, 300  # pages of the price list, seconds from one upload to the next
HOUSEKEEPING = 60  # seconds between two catalogues, and between two tidyings
KEEP = 200  # mails and pictures that tidying leaves
UNFINISHED = ("waiting", "prioritized", "delayed", "active", "waiting-children")
BACKLOG = 150  # unfinished jobs of a queue, above which the stream waits: somebody paused it


class Shop:
    """What happens in the shop, a second at a time.

    *with_invoices*: a Node service works the queue ``invoices``, so orders are sent there too.
    """

    def __init__(self, dice: random.Random | None = None, *, with_invoices: bool = False) -> None:
        self.dice = dice or random.Random()
        self.email = Queue("email")
        self.newsletter = Queue("newsletter")
        self.file_processing = Queue("file_processing")
        self.notifications = Queue("notifications")
        self.invoices = Queue("invoices") if with_invoices else None
        self.seconds = 0
        self.orders = int(time.time()) % 1_000_000
        self.seen: set[str] = set()  # pictures that have their job
        self.full: set[str] = set()  # names of queues that are not to get more now
        self.next_campaign = 0.0

    def open(self) -> None:
        """The rush of the morning: some jobs of every kind at once."""
        self.campaign()
        for _ in range(12):
            self.order()
        for _ in range(3):
            self.sign_up()
            self.password_reset()
        self.mistyped_address()
        self.closed_partner()
        self.stock_count()
        self.prices()
        self.photo_shoot(5)
        self.photo_shoot(1, cut_off=True)
        self.tidy()
        self.plan()

    def plan(self) -> None:
        """What is to be done by the clock. It is said anew at each start, which ends any pause."""
        self.file_processing.upsert_job_scheduler(
            "nightly-catalogue",
            pattern="30 3 * * *",
            tz="Europe/Berlin",
            name="catalogue",
            data={"pages": 4 * CATALOGUE},
            opts={"attempts": 3, "backoff": Backoff.fixed(60)},
        )
        self.file_processing.upsert_job_scheduler(
            "tidy-up", pattern="*/5 * * * *", tz="UTC", name="tidy", data={"keep": KEEP}
        )
        for id, endpoint, pattern in (
            ("stock-report", "warehouse", "* * * * *"),
            ("old-shop-prices", "old-shop", "*/15 8-20 * * mon-sat"),
        ):
            report = {"endpoint": endpoint, "data": {"report": id}}
            self.notifications.upsert_job_scheduler(
                id, pattern=pattern, tz="Europe/Berlin", name="report.due", data=report
            )

    def tick(self) -> None:
        """One second of the day."""
        self.seconds += 1
        if self.seconds % 5 == 1:
            self.look_at_backlogs()
        happenings: list[tuple[float, Callable[[], None]]] = [
            (0.35, self.order),
            (0.10, self.sign_up),
            (0.06, self.password_reset),
            (0.02, self.mistyped_address),
            (0.02, self.closed_partner),
        ]
        for chance, happen in happenings:
            if self.dice.random() < chance:
                happen()
        if self.seconds % 20 == 0:
            self.stock_count()
        if self.seconds % PRICES_PAUSE == 0:
            self.prices()
        if self.seconds % 15 == 0:
            self.photo_shoot(self.dice.randint(2, 5), cut_off=self.dice.random() < 0.15)
        if self.seconds % HOUSEKEEPING == 0:
            self.tidy()
        if self.seconds % HOUSEKEEPING == HOUSEKEEPING // 2:
            self.catalogue()
        self.pick_up_pictures()

    # What customers do

    def order(self) -> None:
        self.orders += 1
        customer = self.customer()
        items = [
            {"count": self.dice.randint(1, 3), "title": title, "price": f"{self.price():.2f}"}
            for title in self.dice.sample(PRODUCTS, k=self.dice.randint(1, 3))
        ]
        total = sum(item["count"] * float(item["price"]) for item in items)  # type: ignore[operator]
        order = {"order": f"S-{self.orders}", "items": items, "total": f"{total:.2f}"}
        self.mail("order-confirmation", customer | order)
        self.webhook("crm", "order.created", {"order": order["order"], "total": order["total"]})
        if self.dice.random() < 0.5:
            self.webhook("warehouse", "order.paid", {"order": order["order"], "items": items})
        if self.dice.random() < 0.3:
            review = customer | {"order": order["order"], "title": items[0]["title"]}
            self.mail("review-request", review, delay=self.dice.randint(60, 900))
        if self.invoices is not None and "invoices" not in self.full:
            self.invoices.add("invoice", customer | order, attempts=3)

    def sign_up(self) -> None:
        self.mail("welcome", self.customer() | {"code": f"HELLO{self.dice.randint(100, 999)}"})

    def password_reset(self) -> None:
        # Somebody waits for it: before everything else in the queue.
        token = f"{self.dice.getrandbits(64):016x}"
        self.mail("password-reset", self.customer() | {"token": token}, lifo=True)

    def mistyped_address(self) -> None:
        self.mail("welcome", self.customer() | {"to": "jane.doe@", "code": "HELLO100"})

    # What partners, photographers and editors do

    def closed_partner(self) -> None:
        self.webhook("old-shop", "price.changed", {"title": self.dice.choice(PRODUCTS)})

    def stock_count(self) -> None:
        for title in self.dice.sample(PRODUCTS, k=6):
            stock = {"title": title, "stock": self.dice.randint(0, 80)}
            self.webhook("warehouse", "stock.counted", stock)

    def photo_shoot(self, count: int, *, cut_off: bool = False) -> None:
        """Drop *count* pictures into the inbox; the last one *cut_off*, as by a lost connection."""
        if "file_processing" in self.full:
            return
        for number in range(count):
            title = self.dice.choice(PRODUCTS)
            name = f"{title.lower().replace(' ', '-')}-{self.dice.getrandbits(24):06x}.jpg"
            broken = cut_off and number == count - 1
            pictures.drop(file_processing.folder("inbox"), name, title, cut_off=broken)
        self.pick_up_pictures()

    def pick_up_pictures(self) -> None:
        """Make a job of every new picture of the inbox, whoever dropped it."""
        for name, digest in file_processing.waiting_pictures():
            if digest not in self.seen:
                # The id says which picture it is: after a restart the same one is added in vain.
                self.file_processing.add(
                    "thumbnails", {"picture": name}, job_id=f"picture-{digest}", attempts=2
                )
                self.seen.add(digest)

    def prices(self) -> None:
        """Let a partner have all prices, which lasts minutes; old ones are of no use."""
        if "notifications" not in self.full:
            prices = {"endpoint": "crm", "pages": PRICES}
            self.notifications.add("prices.upload", prices, expires=PRICES_PAUSE)

    def catalogue(self) -> None:
        if "file_processing" not in self.full:
            retries = {"attempts": 3, "backoff": Backoff.fixed(5)}
            self.file_processing.add("catalogue", {"pages": CATALOGUE}, **retries)

    def tidy(self) -> None:
        if "file_processing" not in self.full:
            self.file_processing.add("tidy", {"keep": KEEP}, delay=HOUSEKEEPING)

    def campaign(self) -> None:
        """Write a newsletter into its paused queue, once the last one is out."""
        counts = self.newsletter.get_job_counts()
        if counts["waiting"] + counts["prioritized"] + counts["active"] + counts["delayed"]:
            self.next_campaign = time.monotonic() + CAMPAIGN_PAUSE
        elif time.monotonic() >= self.next_campaign:
            self.newsletter.pause()
            season = self.dice.choice(SEASONS)
            self.newsletter.add_bulk(
                JobSpec(
                    "newsletter",
                    self.customer()
                    | {"campaign": season, "title": self.dice.choice(PRODUCTS)}
                    | {"price": f"{self.price():.2f}"},
                    # Regular customers hear of it first. BullMQ runs jobs without a priority
                    # before those with one, and 1 before 2.
                    priority=0 if number < CAMPAIGN // 5 else 2,
                    **MAIL,
                )
                for number in range(CAMPAIGN)
            )

    # Helpers

    def look_at_backlogs(self) -> None:
        """Find the queues whose unfinished jobs pile up, and see whether a campaign is due."""
        self.full = {
            queue.name
            for queue in (self.email, self.file_processing, self.notifications, self.invoices)
            if queue is not None and unfinished(queue) > BACKLOG
        }
        self.campaign()

    def customer(self) -> dict[str, Any]:
        name = self.dice.choice(CUSTOMERS)
        return {"to": f"{name.lower().replace(' ', '.')}@example.com", "name": name}

    def price(self) -> float:
        return self.dice.randint(8, 120) - 0.5

    def mail(self, template: str, data: dict[str, Any], **options: Any) -> None:
        if "email" not in self.full:
            self.email.add(template, data, **MAIL, **options)

    def webhook(self, endpoint: str, event: str, data: dict[str, Any]) -> None:
        if "notifications" not in self.full:
            told = {"endpoint": endpoint, "data": data}
            self.notifications.add(event, told, group=Group(endpoint), **WEBHOOK)


def unfinished(queue: Queue) -> int:
    counts = queue.get_job_counts()
    return sum(counts[state] for state in UNFINISHED)


def run(shop: Shop, stop: threading.Event) -> None:
    """Open the shop, then live through its seconds until *stop* is set."""
    step: Callable[[], None] = shop.open
    away = False
    while not stop.is_set():
        began = time.monotonic()
        try:
            step()
            step = shop.tick
            if away:
                print("the server is back", flush=True)
            away = False
        except ServerUnavailable as error:
            if not away:
                print(f"the server is away, waiting for it: {error}", flush=True)
            away = True
        stop.wait(max(0.0, 1 - (time.monotonic() - began)))


def main() -> None:
    """Run the shop until SIGTERM or SIGINT."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("DJANGO_DEBUG", "1")
    django.setup()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(Shop(with_invoices=os.environ.get("DEMO_INVOICES") == "1"), stop)


if __name__ == "__main__":
    main()
