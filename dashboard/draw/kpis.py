"""The strip of six numbers on the overview: figure, change against an hour ago, sparkline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ..health import Health
from .markup import element, join
from .sparkline import sparkline
from .values import DASH, duration, exact, moment, number, percent, visible

Values = Sequence[float | None]


def strip(
    queues: Sequence[Health], recent: Mapping[str, Values], before: Mapping[str, float] | None
) -> dict[str, SafeString]:
    """Return the six cells by name.

    ``recent``: what the sparklines show, the sums over all queues. ``before``: the numbers an hour
    ago, as in ``recent`` but for ``share``; None while nobody knows them.
    """
    waiting = sum(queue.waiting for queue in queues)
    active = sum(queue.counts.get("active", 0) for queue in queues)
    known = [queue.done for queue in queues if queue.done is not None]
    done = sum(known) if known else None
    ended = [sum(one) for one in zip(*(queue.ended for queue in queues), strict=True)] or [0, 0]
    share = _share(*ended)
    shares = [
        _share(good, bad)
        for good, bad in zip(recent["done_rate"], recent["failed_rate"], strict=False)
    ]
    failing = any(queue.failing for queue in queues)
    then = before or {}
    cells = {
        "done": (
            _("Done per minute"),
            number(done),
            _change(then.get("done_rate"), done),
            recent["done_rate"],
            False,
        ),
        "failed": (
            _("Failed jobs"),
            percent(share),
            _points(then.get("share"), share, failing),
            shares,
            failing,
        ),
        "waiting": (
            _("Waiting"),
            number(waiting),
            _difference(then.get("waiting"), waiting),
            recent["waiting"],
            False,
        ),
        "active": (*_active(active, queues), _crew(queues), recent["active"], False),
    }
    return {name: _cell(*cell) for name, cell in cells.items()} | {
        "oldest": _oldest(queues),
        "drain": _drains(queues, waiting, recent["waiting"]),
    }


def _cell(word: str, figure: object, note: object, values: Values, bad: bool = False) -> SafeString:
    return join(
        [
            element("span", word, class_="kpi-label"),
            element("span", figure, class_="kpi-figure num"),
            element("span", note, class_="kpi-change num"),
            sparkline(values, bad=bad),
        ]
    )


def _change(before: float | None, now: float | None) -> SafeString | None:
    if not before or now is None:
        return None
    return _signed(f"{(now / before - 1) * 100:+.1f} %", bad=False)


def _difference(before: float | None, now: float) -> SafeString | None:
    return None if before is None else _signed(f"{now - before:+,.0f}", bad=False)


def _points(before: float | None, now: float | None, bad: bool) -> SafeString | None:
    if before is None or now is None:
        return None
    points = (now - before) * 100
    return _signed(f"{points:+.1f} pt", bad=bad and points > 0)


def _signed(text: str, *, bad: bool) -> SafeString:
    return element(
        "span",
        text.replace("-", "−"),
        class_="bad" if bad else None,
        title=_("compared with an hour ago"),
    )


def _oldest(queues: Sequence[Health]) -> SafeString:
    old = [
        (queue.snapshot.oldest_wait, queue)
        for queue in queues
        if queue.snapshot.oldest_wait and queue.waiting
    ]
    if not old:
        return _cell(_("Oldest wait"), element("span", DASH, class_="zero"), None, ())
    at, queue = min(old, key=lambda pair: pair[0])
    bad = any(item.bad or item.kind == "stuck" for item in queue.attention)
    name = element("span", visible(queue.name), class_="bad name" if bad else "name")
    return _cell(_("Oldest wait"), moment(at, "age"), name, ())


def _active(active: int, queues: Sequence[Health]) -> tuple[str, SafeString]:
    """Of all slots, where those of every busy queue are known; else the number alone."""
    room = [queue.slots for queue in queues if queue.counts.get("active", 0) or queue.slots]
    if room and all(room):
        figure = join([number(active), element("u", f"/{exact(sum(filter(None, room)))}")])
        return _("Active of capacity"), figure
    return _("Active"), number(active)


def _crew(queues: Sequence[Health]) -> SafeString | None:
    known: list[Any] = [queue.workers for queue in queues if queue.workers is not None]
    if not known:
        return None
    count = sum(sum(crew.values()) for crew in known)
    return element("span", _("%(count)s workers") % {"count": exact(count)})


def _drains(queues: Sequence[Health], waiting: int, levels: Values) -> SafeString:
    never = sum(queue.drain.kind in ("never", "growing") for queue in queues)
    times = [queue.drain.seconds or 0 for queue in queues if queue.drain.kind == "estimate"]
    note = element("span", _("%(count)s never") % {"count": never}, class_="bad") if never else None
    if not waiting:
        figure = element("span", _("Empty"), class_="zero")
    elif times:
        figure = duration(max(times))
    elif never:
        figure = element("span", _("Never"), class_="bad")
    else:
        kinds = {queue.drain.kind for queue in queues if queue.waiting}
        words = {frozenset({"paused"}): _("Paused")}
        keeping = _("Keeping up") if "keeping-up" in kinds else DASH
        figure = element("span", words.get(frozenset(kinds), keeping), class_="zero")
    return _cell(_("Drains in"), figure, note, levels)


def _share(good: float | None, bad: float | None) -> float | None:
    ended = (good or 0) + (bad or 0)
    return (bad or 0) / ended if ended else None
