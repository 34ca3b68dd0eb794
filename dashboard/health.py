"""How a queue does: its rates, when it will be empty, and what about it needs attention.

Pure: everything is computed from what the hub or a page has read (:mod:`.live.state`), so a first
render and every later patch say the same. Sentences are made here too, in the active language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from queuecore.fleet import peers_of
from queuecore.mutes import Mute
from queuecore.statistics import Failure

from .draw import fleets
from .draw.values import duration_text, exact, figures, size, visible
from .rates import DAY, JUST, MINUTE, WINDOW, Rates, rates_of

UNFINISHED = ("waiting", "prioritized", "active", "delayed", "waiting-children")
SHOWN = (*UNFINISHED, "failed")

# When a queue counts as failing: enough jobs ended, many of them failed, and that is unusual.
_ENDED, _FAILING, _UNUSUAL = 10, 0.2, 3.0
# A backlog counts as growing if it is worth minutes of work, gets a tenth more than it gives, and
# will be a tenth larger in those minutes.
_GROWING, _BACKLOG, _BACKLOG_MINUTES = 1.1, 50, 5
_KEEPING_UP = 10.0  # seconds: less waiting than that is no backlog
_LATE = 60.0  # seconds after which a delayed job should have been let go
_STUCK = 900.0  # seconds that the oldest job waits although somebody works
# Seconds that the oldest job waits, at least, where nobody works the queue.
_ABANDONED = 20.0


#: The kinds of trouble of a queue, each of which can be muted.
MUTABLE = ("failing", "no-workers", "paused", "growing", "stuck", "scheduler", "new-error")


def permission_of(kind: str) -> str:
    """What somebody needs who acts on trouble of this kind, or mutes it."""
    return "manage_schedulers" if kind == "scheduler" else "pause_queue"


@dataclass(frozen=True, slots=True)
class Badge:
    """A word beside a queue's name. ``level``: bad, warn, info or paused; ``icon``: its icon."""

    level: str
    icon: str
    text: str


@dataclass(frozen=True, slots=True)
class Drain:
    """When the queue will be empty: ``kind``, with ``seconds`` or ``growth`` a minute."""

    kind: str  # paused, idle, keeping-up, never, growing, estimate, unknown
    seconds: float | None = None
    growth: float | None = None


@dataclass(frozen=True, slots=True)
class Attention:
    """One line of "Needs attention". ``rank``: the lower, the higher it stands.

    ``target``: which of several it is about, such as a scheduler's id.
    """

    rank: int
    kind: str
    alias: str
    queue: str  # empty: the connection itself
    what: str
    why: str = ""
    since: datetime | None = None
    bad: bool = False
    target: str = ""

    @property
    def mutable(self) -> bool:
        """Whether it can be muted: what is said of a server concerns everybody."""
        return bool(self.queue) and self.kind in MUTABLE


@dataclass(frozen=True, slots=True)
class Health:
    """One queue as the tables show it; rates are jobs a minute, None where nobody measured."""

    alias: str
    name: str
    snapshot: Any
    counts: Mapping[str, int]
    waiting: int
    rate_in: float | None
    rate_out: float | None
    fail_share: float | None
    usual_share: float | None
    failing: bool
    drain: Drain
    workers: Mapping[str, int] | None
    abandoned: bool  # jobs wait and nobody listens
    slots: int | None  # jobs that can run at once; None where peers work, who do not say
    done: float | None  # completed in the last minute
    ended: tuple[float, float]  # (completed, failed) in the last ten
    # 95 of 100 jobs waited and ran no longer, in seconds; None where nobody of ours ran one lately
    wait: float | None = None
    run: float | None = None
    attention: tuple[Attention, ...] = ()
    muted: tuple[tuple[Attention, Mute], ...] = ()
    badges: tuple[Badge, ...] = field(default=())

    @property
    def rank(self) -> tuple[int, int, list[tuple[str, int]]]:
        """The order "by attention": what is wrong first, then what waits, then the name."""
        worst = min((item.rank for item in self.attention), default=99)
        return worst, -self.waiting, natural(self.name)

    @property
    def busy(self) -> float | None:
        """The share of the slots in which a job runs."""
        active: int = self.counts.get("active", 0)
        return min(1.0, active / self.slots) if self.slots else None

    @property
    def unfinished(self) -> int:
        """All jobs that are still to be done."""
        return sum(self.counts.get(state, 0) for state in UNFINISHED)


def health(connection: Any, name: str, rates: Rates | None = None) -> Health | None:
    """Judge one queue of a :class:`.live.state.ConnectionState`; None where it was not read yet.

    ``rates``: what :func:`.rates.rates_of` says, for callers that judge many queues.
    """
    snapshot = connection.queues.get(name)
    if snapshot is None:
        return None
    rates = rates or rates_of(connection)
    counts = snapshot.counts
    waiting = counts.get("waiting", 0) + counts.get("prioritized", 0)
    rate_out = rates.a_minute(name)
    growth = rates.growth(name, counts)
    rate_in = None if rate_out is None or growth is None else max(0.0, rate_out + growth)
    recent = rates.ended(name, WINDOW)
    share, ended = _share(recent)
    usual, _ended = _share(rates.ended(name, DAY))
    failing = (
        share is not None
        and ended >= _ENDED
        and share >= _FAILING
        and (usual is None or usual >= share or share >= _UNUSUAL * usual or share >= 0.5)
    )
    crew, ours = workers(connection, name), connection.crews.get(name)
    pulse = connection.notices.pulses.get(name)
    # Workers are listed every ten seconds: what one that has just begun does is seen earlier.
    seen = name in connection.unexplained or any(rates.ended(name, JUST))
    abandoned = bool(
        (waiting or snapshot.groups)
        and crew is not None
        and not crew
        and not seen
        and _age(snapshot) >= _ABANDONED
    )
    found = Health(
        alias=connection.alias,
        name=name,
        snapshot=snapshot,
        counts=counts,
        waiting=waiting,
        rate_in=rate_in,
        rate_out=rate_out,
        fail_share=share if ended else None,
        usual_share=usual,
        failing=failing,
        drain=_drain(snapshot, waiting, rate_in, rate_out, abandoned=abandoned),
        abandoned=abandoned,
        workers=crew,
        slots=_slots(snapshot.concurrency, ours, crew),
        done=None if rate_out is None else rates.ended(name, MINUTE)[0],
        ended=recent,
        wait=pulse.figures.wait.p95 if pulse else None,
        run=pulse.figures.run.p95 if pulse else None,
    )
    late = connection.notices.late.get(name, ())
    items, muted = [], []
    for item in _attention(found, ended, ours, late, pulse.fresh if pulse else ()):
        mute = connection.notices.mute(item.kind, name, item.target, item.since)
        if mute is None:
            items.append(item)
        else:
            muted.append((item, mute))
    badges = tuple(_badges(found))
    return replace(found, attention=tuple(items), muted=tuple(muted), badges=badges)


def exists(snapshot: Any) -> bool:
    """Whether anybody has ever used the queue: a snapshot of nothing is all zeros."""
    return bool(snapshot.exists)


def all_health(state: Any, allows: Any) -> list[Health]:
    """Judge every queue that ``allows(alias, queue)``, connection by connection, by name."""
    return [
        found
        for alias, connection in state.connections.items()
        for name in connection.queues
        if allows(alias, name) and (found := _judged(connection, name))
    ]


def _judged(connection: Any, name: str) -> Health | None:
    """Judge a queue once for all who ask between two reads."""
    of = (connection.read_at, connection.history.version, connection.notices.version)
    if connection.judged.get("of") != of:
        connection.judged = {"of": of, "rates": rates_of(connection)}
    key = (get_language(), name)
    found: Health | None = connection.judged.get(key)
    if found is None or found.snapshot is not connection.queues.get(name):
        found = connection.judged[key] = health(connection, name, connection.judged["rates"])
        if found is not None:
            present = [*found.attention, *(item for item, _mute in found.muted)]
            connection.notices.seen(name, {(item.kind, item.target) for item in present})
    return found


def needs_attention(
    state: Any, queues: Iterable[Health], whole: Iterable[str], allows: Any
) -> list[Attention]:
    """Collect what needs attention, worst first: a line a queue, the fleets' and the servers' own.

    ``whole``: aliases whose server itself may be spoken of to this viewer, who may see the queues
    that it ``allows(alias, queue)``.
    """
    items = [min(queue.attention, key=lambda one: one.rank) for queue in queues if queue.attention]
    for connection in state.connections.values():
        items += _fleets(connection, allows)
    for alias in whole:
        items += _server(state.connections[alias])
    return sorted(items, key=_order)


def _order(item: Attention) -> tuple[int, float, str, list[tuple[str, int]]]:
    """The worst first; of equal ones what lasts longest."""
    since = item.since.timestamp() if item.since else 0.0
    return item.rank, since, item.alias, natural(item.queue)


def natural(name: str) -> list[tuple[str, int]]:
    """A key that sorts ``task-2`` before ``task-10``."""
    parts = _NUMBERED.findall(name)
    return [(text, int(number) if number else -1) for text, number in parts if text or number]


_NUMBERED = re.compile(r"([^0-9]*)([0-9]{1,9})?")


def muted(queues: Iterable[Health]) -> list[tuple[Attention, Mute]]:
    """Collect what would need attention but is muted, the worst first."""
    found = [pair for queue in queues for pair in queue.muted]
    return sorted(found, key=lambda pair: (pair[0].rank, pair[0].alias, pair[0].queue))


def workers(connection: Any, name: str) -> dict[str, int] | None:
    """Count the workers of a queue, by language; None where nobody may know.

    Ours tell of themselves; of others the server knows the connections on which they listen.
    """
    ours = connection.crews.get(name)
    told = ours.workers if ours else 0
    if connection.workers is None and not told:
        return None
    found: dict[str, int] = {}
    for worker in peers_of(connection.workers, connection.ours) or ():
        if worker.queue == name:
            spoken = language(worker.library)
            found[spoken] = found.get(spoken, 0) + 1
    if told:
        found["Py"] = found.get("Py", 0) + told
    return found


def language(library: str) -> str:
    """Name the language behind a Redis client's library; empty where the server does not say."""
    known = {"redis-py": "Py", "ioredis": "Node", "node-redis": "Node", "jedis": "Java"}
    for name, spoken in known.items():
        if library.startswith(name):
            return spoken
    return library.partition("(")[0][:12]


def _slots(limit: int | None, ours: Any, crew: Mapping[str, int] | None) -> int | None:
    """How many jobs can run at once: what our workers say, as far as a global limit lets them."""
    count = ours.workers if ours else 0
    alone = bool(count) and (crew is None or sum(crew.values()) <= count)
    known = [one for one in (limit, ours.slots if alone else None) if one]
    return min(known, default=None)


def _share(ended: tuple[float, float]) -> tuple[float | None, float]:
    """The failed share of all that ended, and how many ended."""
    done, failed = ended
    total = done + failed
    return (failed / total if total else None), total


def _drain(
    snapshot: Any,
    waiting: int,
    rate_in: float | None,
    rate_out: float | None,
    *,
    abandoned: bool,
) -> Drain:
    if snapshot.paused:
        return Drain("paused")
    if abandoned:
        return Drain("never")
    if not waiting and snapshot.groups:
        return Drain("unknown")  # how many jobs wait in groups is not counted here
    if not waiting:
        return Drain("keeping-up" if rate_out else "idle")
    if rate_out is None or rate_in is None:
        return Drain("unknown")
    if waiting <= rate_out / 60 * _KEEPING_UP:
        return Drain("keeping-up")
    growth = rate_in - rate_out
    if growth > 0 and rate_in > rate_out * _GROWING:
        return Drain("growing", growth=growth)
    if growth >= 0:
        # Neither grows nor shrinks: at this rate it never empties, but nothing gets worse.
        return Drain("estimate", seconds=waiting / rate_out * 60) if rate_out else Drain("never")
    return Drain("estimate", seconds=waiting / -growth * 60)


def _attention(
    found: Health, ended: float, ours: Any, overdue: Sequence[Any], fresh: Sequence[Failure]
) -> Iterator[Attention]:
    snapshot, waiting = found.snapshot, found.waiting

    def item(rank: int, kind: str, what: str, why: str = "", *, bad: bool = False) -> Attention:
        since = snapshot.oldest_wait if kind != "failing" else None
        if kind == "paused" and snapshot.pause:
            since = snapshot.pause.since
        return Attention(rank, kind, found.alias, found.name, what, why, since, bad)

    count = {"count": exact(waiting)}
    if found.failing and found.fail_share is not None:
        share = f"{found.fail_share * 100:.0f} %"
        what = _("%(share)s of the jobs fail") % {"share": share}
        if found.usual_share is not None and found.usual_share < found.fail_share * 0.8:
            what = _("%(share)s of the jobs fail, normally %(usual)s") % {
                "share": share,
                "usual": figures(f"{found.usual_share * 100:.1f} %"),
            }
        why = _("of %(ended)s that ended in the last 10 minutes") % {"ended": exact(ended)}
        if fresh:
            why = _("of %(ended)s that ended in the last 10 minutes; new is %(error)s") % {
                "ended": exact(ended),
                "error": _kind(fresh[0]),
            }
        yield item(0, "failing", what, why, bad=True)
    elif fresh:
        yield _new_error(found, fresh)
    if found.abandoned and not snapshot.paused:
        words = ngettext(
            "%(count)s job waits and no worker listens",
            "%(count)s jobs wait and no worker listens",
            waiting,
        )
        why = _("start a worker on this queue")
        if overdue:
            why = _("start a worker on this queue; scheduler %(name)s waits, too") % {
                "name": visible(overdue[0].id)
            }
        if not waiting:
            count = {"count": exact(snapshot.groups)}
            words = ngettext(
                "Jobs of %(count)s group wait and no worker listens",
                "Jobs of %(count)s groups wait and no worker listens",
                snapshot.groups,
            )
        yield item(1, "no-workers", words % count, why, bad=True)
    if ours and ours.lost and ours.lost_jobs:
        words = ngettext(
            "A worker with %(count)s job is lost",
            "Workers with %(count)s jobs are lost",
            ours.lost_jobs,
        )
        why = _("their jobs run again once another worker has looked for stalled ones")
        yield item(2, "no-workers", words % {"count": exact(ours.lost_jobs)}, why, bad=True)
    late = (snapshot.at - snapshot.next_delayed).total_seconds() if snapshot.next_delayed else 0
    if snapshot.paused or found.abandoned:
        pass  # that says why
    elif overdue:
        yield from _late_schedulers(found, overdue)
    elif late > _LATE:
        # To the minute, as below.
        what = _("The next delayed job is %(time)s late") % {"time": duration_text(late // 60 * 60)}
        why = _("runs of schedulers wait with it; is there a worker?")
        yield item(3, "stuck", what, why, bad=True)
    if snapshot.paused and waiting:
        words = ngettext("Paused, %(count)s job waits", "Paused, %(count)s jobs wait", waiting)
        yield item(2, "paused", words % count, pause_words(snapshot.pause))
    elif snapshot.paused and snapshot.groups:
        words = ngettext(
            "Paused, jobs of %(count)s group wait",
            "Paused, jobs of %(count)s groups wait",
            snapshot.groups,
        )
        why = pause_words(snapshot.pause)
        yield item(2, "paused", words % {"count": exact(snapshot.groups)}, why)
    if found.drain.kind == "growing" and found.drain.growth and found.rate_out is not None:
        soon = found.drain.growth * _BACKLOG_MINUTES
        if (
            waiting >= _BACKLOG
            and waiting > found.rate_out * _BACKLOG_MINUTES
            and soon > waiting / 10
        ):
            what = _("The backlog grows by %(growth)s a minute") % {
                "growth": exact(found.drain.growth)
            }
            why = _("%(count)s wait, %(out)s a minute get done") % {
                **count,
                "out": exact(found.rate_out),
            }
            yield item(3, "growing", what, why, bad=True)
    waited = _age(snapshot)
    if waiting and not snapshot.paused and waited > _STUCK and found.workers:
        # To the minute: the sentence is sent to every reader when it changes.
        what = _("The oldest job has waited for %(time)s") % {
            "time": duration_text(waited // 60 * 60)
        }
        yield item(4, "stuck", what, _("of %(count)s that wait") % count)


def _new_error(found: Health, fresh: Sequence[Failure]) -> Attention:
    """Name the most frequent new kind of failure: its class, not what its message may tell."""
    first = fresh[0]
    what = _("New error in %(name)s: %(error)s") % {
        "name": visible(first.name) or _("jobs of other names"),
        "error": _kind(first),
    }
    words = ngettext("%(count)s time so far", "%(count)s times so far", first.count)
    why = words % {"count": exact(first.count)}
    if more := len(fresh) - 1:
        words = ngettext(
            "%(times)s, and %(count)s more kind of error",
            "%(times)s, and %(count)s more kinds of errors",
            more,
        )
        why = words % {"times": why, "count": exact(more)}
    return Attention(2, "new-error", found.alias, found.name, what, why, first.first_seen, bad=True)


def _kind(failure: Failure) -> str:
    """The class of an error without its module; whoever added the job may have named it."""
    return visible(failure.kind.rpartition(".")[2])[:60] or _("an error without a name")


def _late_schedulers(found: Health, overdue: Sequence[Any]) -> Iterator[Attention]:
    """Name the schedulers whose run nobody has taken, and say why that may be."""
    if not overdue:
        return
    if found.workers is not None and not found.workers:
        why = _("no worker listens")
    elif found.waiting:
        words = ngettext(
            "%(count)s job waits before it", "%(count)s jobs wait before it", found.waiting
        )
        why = words % {"count": exact(found.waiting)}
    else:
        why = _("nobody has taken it")
    for place in overdue:
        what = _("The run of scheduler %(name)s is late") % {"name": visible(place.id)}
        due = datetime.fromtimestamp(place.due / 1000, UTC)
        yield Attention(
            3, "scheduler", found.alias, found.name, what, why, due, True, target=place.id
        )


def pause_words(pause: Any) -> str:
    """Who paused and why, as far as it is known."""
    if pause is None or not (pause.by or pause.reason):
        return ""
    by, reason = visible(pause.by), visible(pause.reason)
    if not by:
        return reason
    words = _("by %(user)s: %(reason)s") if reason else _("by %(user)s")
    return words % {"user": by, "reason": reason}


def _badges(found: Health) -> Iterator[Badge]:
    snapshot = found.snapshot
    if found.failing:
        yield Badge("bad", "failing", _("Failing"))
    if found.abandoned:
        yield Badge("bad", "no-workers", _("No workers"))
    if snapshot.paused:
        yield Badge("paused", "pause", _("Paused"))
    if snapshot.limiter_ttl_ms and snapshot.limiter_ttl_ms > 0:
        yield Badge("info", "limited", _("Rate limited"))
    active = found.counts.get("active", 0)
    if snapshot.concurrency and active >= snapshot.concurrency and found.waiting:
        yield Badge("warn", "limited", _("Saturated"))


def _fleets(connection: Any, allows: Any) -> Iterator[Attention]:
    """Fleets in which a process cannot stay up: one line each, of the place that is worst."""
    for one in connection.supervisors:
        seen = any(allows(connection.alias, queue) for queue in one.queues)
        if not seen or one.health == "lost" or not one.unsteady:
            continue
        place = max(one.unsteady, key=lambda seat: seat.failures)
        words = ngettext(
            "A process of a fleet on %(host)s does not stay up",
            "%(count)s processes of a fleet on %(host)s do not stay up",
            len(one.unsteady),
        )
        what = words % {"count": exact(len(one.unsteady)), "host": visible(one.host)}
        why = _("the last one %(how)s; its supervisor is process %(pid)s") % {
            "how": fleets.how(place.why),
            "pid": str(one.pid),
        }
        yield Attention(
            1, "fleet", connection.alias, "", what, why, place.at, True, target=one.host
        )


def _server(connection: Any) -> Iterator[Attention]:
    alias, server = connection.alias, connection.server
    if connection.error:
        yield Attention(
            0,
            "away",
            alias,
            "",
            _("The connection is away"),
            connection.error,
            connection.read_at,
            True,
        )
    if server is None:
        return
    policy = server.eviction_policy
    if policy and policy != "noeviction":
        what = _("The server may drop jobs when its memory is full")
        why = _("maxmemory-policy is %(policy)s; set it to noeviction") % {"policy": policy}
        yield Attention(2, "memory", alias, "", what, why, None, True)
    used, most = server.used_memory, server.max_memory
    if most and used > 0.85 * most:
        what = _("The server's memory is %(share)s full") % {"share": f"{used / most:.0%}"}
        yield Attention(
            1, "memory", alias, "", what, _("of %(size)s") % {"size": size(most)}, None, True
        )


def _age(snapshot: Any) -> float:
    if snapshot.oldest_wait is None:
        return 0.0
    return float((snapshot.at - snapshot.oldest_wait).total_seconds())
