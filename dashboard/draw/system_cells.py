"""What the System page shows of a server: figures, what is wrong with it, facts, slow calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.vitals import SlowCall, Vitals

from .. import links
from .icons import icon
from .markup import element, join
from .values import (
    DASH,
    address,
    duration,
    duration_text,
    exact,
    figures,
    moment,
    number,
    percent,
    short,
    size,
    visible,
)

_FULL, _FILLING = 0.9, 0.75
_SLOW_MS = 50.0
_LATE_S = 10.0
_ROWS = 20


@dataclass(frozen=True, slots=True)
class Judgement:
    """Something about a server that somebody should know; ``level``: bad, warn or info."""

    level: str
    icon: str
    what: str
    why: str


def strip(vitals: Vitals) -> dict[str, SafeString]:
    """The six figures by name."""
    info = vitals.info
    used, most = vitals.number("used_memory"), vitals.number("maxmemory")
    clients, room = vitals.number("connected_clients"), vitals.number("maxclients")
    keys = vitals.keyspace
    total = sum(one.get("keys", 0) for one in keys.values())
    share = used / most if used is not None and most else None
    return {
        "memory": _cell(
            _("Memory"),
            _bytes(used),
            [percent(share), " ", _("of %(size)s") % {"size": size(most or 0)}]
            if share is not None
            else (_("no limit") if info else None),
            bad=share is not None and share >= _FULL,
        ),
        "ops": _cell(
            _("Commands per second"),
            number(vitals.number("instantaneous_ops_per_sec")),
            None,
        ),
        "clients": _cell(
            _("Clients"),
            number(clients),
            _("of %(count)s") % {"count": exact(room)} if room else None,
            bad=bool(clients and room and clients >= room * _FULL),
        ),
        "latency": _cell(
            _("Latency"),
            [figures(f"{vitals.latency_ms:.1f}"), element("u", "ms")],
            _("one round trip"),
            bad=vitals.latency_ms >= _SLOW_MS,
        ),
        "keys": _cell(
            _("Keys"),
            number(total if info else None),
            _("%(count)s with a time to live")
            % {"count": exact(sum(one.get("expires", 0) for one in keys.values()))}
            if info
            else None,
        ),
        "uptime": _cell(
            _("Up for"),
            duration(vitals.number("uptime_in_seconds")),
            visible(f"{info.kind} {info.version}") if info else None,
        ),
    }


def _cell(word: str, figure: Any, note: Any, *, bad: bool = False) -> SafeString:
    return join(
        [
            element("span", word, class_="kpi-label"),
            element("span", figure, class_="kpi-figure num bad" if bad else "kpi-figure num"),
            element("span", note, class_="kpi-change num"),
        ]
    )


def _bytes(value: int | None) -> SafeString:
    if value is None:
        return element("span", DASH, class_="zero")
    figure, _space, unit = size(value).partition(" ")
    return join([figure, " " if len(unit) > 2 else None, element("u", unit)])


def judge(vitals: Vitals, lag_s: float | None) -> list[Judgement]:
    """What is wrong, the worst first. ``lag_s``: how old the newest history is."""
    found = [*_of_memory(vitals), *_of_persistence(vitals), *_of_replication(vitals)]
    found += [*_of_clients(vitals), *_of_collector(vitals, lag_s)]
    if vitals.info is None:
        found.append(
            Judgement(
                "info",
                "info",
                _("The server does not say how it does."),
                _("Its user may not call INFO; nothing below is known."),
            )
        )
    return sorted(found, key=lambda one: ("bad", "warn", "info").index(one.level))


def _of_memory(vitals: Vitals) -> Iterable[Judgement]:
    policy = vitals.word("maxmemory_policy")
    if policy and policy != "noeviction":
        yield Judgement(
            "bad",
            "memory",
            _("The eviction policy is %(policy)s.") % {"policy": visible(policy)},
            _("Jobs can vanish when memory is full. Set maxmemory-policy to noeviction."),
        )
    if evicted := vitals.number("evicted_keys"):
        yield Judgement(
            "bad",
            "memory",
            ngettext(
                "%(count)s key was evicted since the start.",
                "%(count)s keys were evicted since the start.",
                evicted,
            )
            % {"count": exact(evicted)},
            _("Jobs may be among them: run an integrity check."),
        )
    used, most = vitals.number("used_memory"), vitals.number("maxmemory")
    of = most or vitals.number("total_system_memory")
    if used and of and used >= of * _FILLING:
        level = "bad" if used >= of * _FULL else "warn"
        yield Judgement(
            level,
            "memory",
            _("Memory is %(share)s %% full.") % {"share": exact(round(used / of * 100))},
            _("A full server refuses new jobs. Clean finished ones, or raise maxmemory."),
        )
    ratio = vitals.word("mem_fragmentation_ratio") or "0"
    if used and used > 100_000_000 and _float(ratio) > 1.8:
        yield Judgement(
            "warn",
            "memory",
            _("Memory is fragmented: %(ratio)s times what is used.")
            % {"ratio": figures(visible(ratio))},
            _("activedefrag or a restart gives it back."),
        )


def _of_persistence(vitals: Vitals) -> Iterable[Judgement]:
    if vitals.info is None:
        return
    if vitals.word("loading") == "1":
        yield Judgement("bad", "away", _("The server is loading its data."), "")
    if vitals.word("rdb_last_bgsave_status") not in (None, "ok"):
        yield Judgement(
            "bad",
            "warning",
            _("The last snapshot failed."),
            _("Look at the server's log and disk; writes may be refused until one works."),
        )
    if vitals.word("aof_last_write_status") not in (None, "ok"):
        yield Judgement(
            "bad",
            "warning",
            _("The append-only file could not be written."),
            _("Its disk may be full. What happens now is lost with the server."),
        )
    if vitals.word("aof_enabled") == "1":
        if vitals.settings.get("appendfsync") == "no":
            yield Judgement(
                "warn",
                "warning",
                _("The append-only file is never synced (appendfsync no)."),
                _("A power cut can cost half a minute of jobs; everysec costs a second."),
            )
        return
    if vitals.settings.get("save") == "":
        yield Judgement(
            "bad",
            "warning",
            _("Nothing is persisted."),
            _("All jobs are lost when the server stops. Set appendonly yes."),
        )
        return
    changes = vitals.number("rdb_changes_since_last_save") or 0
    yield Judgement(
        "warn",
        "warning",
        _("There are snapshots only, no append-only file."),
        ngettext(
            "%(count)s change since the last one would be lost. Set appendonly yes.",
            "%(count)s changes since the last one would be lost. Set appendonly yes.",
            changes,
        )
        % {"count": exact(changes)},
    )


def _of_replication(vitals: Vitals) -> Iterable[Judgement]:
    if vitals.word("role") == "slave":
        yield Judgement(
            "bad",
            "away",
            _("This server is a replica."),
            _("It refuses writes: point the URL at the primary."),
        )
        if vitals.word("master_link_status") not in (None, "up"):
            yield Judgement("bad", "away", _("It has lost its primary."), "")
    for one in vitals.replicas:
        if one.state != "online" or (one.lag_s or 0) > _LATE_S:
            yield Judgement(
                "warn",
                "away",
                _("The replica %(address)s is behind.") % {"address": visible(one.address)},
                _("State %(state)s, lag %(lag)s s: a failover now would lose that much.")
                % {"state": visible(one.state), "lag": DASH if one.lag_s is None else one.lag_s},
            )


def _of_clients(vitals: Vitals) -> Iterable[Judgement]:
    clients, room = vitals.number("connected_clients"), vitals.number("maxclients")
    if clients and room and clients >= room * _FULL:
        yield Judgement(
            "bad",
            "warning",
            _("Nearly all of the %(count)s connections are taken.") % {"count": exact(room)},
            _("Further workers and web processes will be refused. Raise maxclients."),
        )
    if rejected := vitals.number("rejected_connections"):
        yield Judgement(
            "warn",
            "warning",
            ngettext(
                "%(count)s connection was refused since the start.",
                "%(count)s connections were refused since the start.",
                rejected,
            )
            % {"count": exact(rejected)},
            _("maxclients was reached at some time."),
        )
    if vitals.latency_ms >= _SLOW_MS:
        yield Judgement(
            "warn",
            "stuck",
            _("A round trip takes %(time)s ms.") % {"time": exact(round(vitals.latency_ms))},
            _("The slow calls below may say why; else it is the network."),
        )


def _of_collector(vitals: Vitals, lag_s: float | None) -> Iterable[Judgement]:
    if not vitals.collecting:
        yield Judgement(
            "warn",
            "stuck",
            _("Nobody collects history."),
            _("Charts and rates stand still. A worker or a web process does it by itself."),
        )
    elif lag_s is not None and lag_s > _LATE_S:
        yield Judgement(
            "warn",
            "stuck",
            _("History is %(time)s behind.") % {"time": duration_text(lag_s)},
            _("The process that collects it is slow or cannot write."),
        )


def judgements(found: Sequence[Judgement]) -> SafeString:
    """The list of what is wrong; a calm line where nothing is."""
    if not found:
        calm = element("span", _("Nothing about this server needs attention."))
        body: Any = element("li", icon("check"), calm, class_="calm")
    else:
        body = [
            element(
                "li",
                element("span", icon(one.icon), class_=f"t-{one.level}"),
                element(
                    "span",
                    element("b", one.what),
                    " ",
                    element("span", one.why, class_="muted"),
                ),
            )
            for one in found
        ]
    return element("ul", body, id="sys-look", class_="sys-look")


def persistence(vitals: Vitals) -> SafeString:
    """How data survives the server."""
    saved = vitals.number("rdb_last_save_time")
    aof = vitals.word("aof_enabled")
    sync = vitals.settings.get("appendfsync", "")
    of_file = [
        (_("Sync"), visible(sync) if sync else None),
        (_("Its size"), _size(vitals.number("aof_current_size"))),
    ]
    return _facts(
        [
            (_("Append-only file"), _yes(aof == "1") if aof is not None else None),
            *(of_file if aof == "1" else []),
            (_("Last snapshot"), _time(saved)),
            (_("Its outcome"), _word(vitals.word("rdb_last_bgsave_status"))),
            (_("Changes since"), number(vitals.number("rdb_changes_since_last_save"))),
        ]
    )


def memory(vitals: Vitals) -> SafeString:
    """What the memory is used for."""
    ratio = vitals.word("mem_fragmentation_ratio")
    return _facts(
        [
            (_("Eviction policy"), _policy(vitals.word("maxmemory_policy"))),
            (_("Limit"), _limit(vitals.number("maxmemory"))),
            (_("Peak"), _size(vitals.number("used_memory_peak"))),
            (_("Resident"), _size(vitals.number("used_memory_rss"))),
            (_("Fragmentation"), figures(visible(ratio)) if ratio else None),
            (_("Scripts"), _size(vitals.number("used_memory_scripts_eval"))),
            (_("Evicted keys"), number(vitals.number("evicted_keys"))),
            (_("Growth"), _growth(vitals.grew, vitals.since_s)),
        ]
    )


def replication(vitals: Vitals) -> SafeString:
    """Role, and the other side."""
    role = vitals.word("role")
    shown: list[tuple[str, Any]] = [
        (
            _("Role"),
            {"master": _("primary"), "slave": _("replica")}.get(role or "", visible(role or ""))
            or None,
        )
    ]
    if role == "slave":
        shown += [
            (_("Primary"), visible(vitals.word("master_host") or DASH)),
            (_("Link"), _word(vitals.word("master_link_status"), good="up")),
            (_("Last heard"), duration(vitals.number("master_last_io_seconds_ago"))),
        ]
    else:
        shown.append((_("Replicas"), number(vitals.number("connected_slaves"))))
    for one in vitals.replicas[:5]:
        lag = DASH if one.lag_s is None else _("lag %(time)s s") % {"time": one.lag_s}
        good = one.state == "online"
        state = element("span", visible(one.state), class_=None if good else "bad")
        shown.append((visible(one.address), join([state, ", ", lag])))
    return _facts(shown)


def keyspace(vitals: Vitals) -> SafeString:
    """Keys by database."""
    shown = [
        (
            name,
            join([number(one.get("keys", 0)), " ", element("u", _("keys"))]),
        )
        for name, one in sorted(vitals.keyspace.items())
    ]
    hits, misses = vitals.number("keyspace_hits"), vitals.number("keyspace_misses")
    if hits is not None and misses is not None and hits + misses:
        shown.append((_("Hits"), percent(hits / (hits + misses))))
    shown.append((_("Expired"), number(vitals.number("expired_keys"))))
    return _facts(shown)


def collector(vitals: Vitals, latest: datetime | None, lag_s: float | None) -> SafeString:
    """Whether somebody collects history, and how far it is."""
    return _facts(
        [
            (_("Collecting"), _yes(vitals.collecting)),
            (_("Last second"), moment(latest)),
            (_("Behind"), duration(max(lag_s, 0.0)) if lag_s is not None else None),
        ]
    )


def process(sockets: int, counts: dict[str, int]) -> SafeString:
    """What this web process does for open pages."""
    return _facts(
        [
            (_("Open sockets"), number(sockets)),
            (_("Messages sent"), number(counts.get("sent", 0))),
            (_("Patches merged"), number(counts.get("merged", 0))),
            (_("Sockets dropped"), number(counts.get("stalled", 0))),
        ]
    )


def versions(found: Iterable[tuple[str, str]]) -> SafeString:
    """Names and versions of what runs here."""
    return _facts([(name, element("span", visible(version))) for name, version in found])


def slow(calls: list[SlowCall] | None) -> SafeString:
    """The slow log, newest first."""
    if calls is None:
        rows: Any = _row(_("Unknown: the server's user may not call SLOWLOG."))
    elif not calls:
        rows = _row(_("No call was slower than the server's limit."))
    else:
        rows = [
            element(
                "tr",
                element("td", moment(one.at, "date"), class_="num c-when"),
                element("td", _micro(one.microseconds), class_="num strong c-took"),
                element(
                    "th",
                    element("code", visible(one.command)),
                    " ",
                    element("b", visible(one.script)) if one.script else None,
                    scope="row",
                    class_="c-call",
                ),
                element("td", element("code", visible(one.key)), class_="c-key"),
                element("td", address(one.client), class_="muted mid-only c-client"),
            )
            for one in calls[:_ROWS]
        ]
    return element("tbody", rows, id="sys-slow")


def queues(vitals: Vitals, names: Sequence[str], mount: str) -> SafeString:
    """The memory of the largest queues."""
    if vitals.memory is None:
        return element(
            "tbody", _row(_("Unknown: the server's user may not call MEMORY.")), id="sys-queues"
        )
    largest = sorted(vitals.memory.items(), key=lambda pair: (-pair[1].bytes, pair[0]))
    total = sum(one.bytes for one in vitals.memory.values()) or 1
    rows: list[Any] = [
        element(
            "tr",
            element(
                "th",
                element("a", visible(name), href=links.queue_url(mount, vitals.alias, name)),
                scope="row",
                class_="c-queue",
            ),
            element("td", _bytes(one.bytes), class_="num strong c-size"),
            element("td", percent(one.bytes / total), class_="num c-share"),
            element("td", number(one.jobs), class_="num c-jobs"),
            element("td", _bytes(one.job), class_="num mid-only c-job"),
            element("td", _growth(one.grew, one.since_s), class_="num c-grew"),
        )
        for name, one in largest[:_ROWS]
    ]
    if not rows:
        rows.append(_row(_("No queue has been measured yet.")))
    left = len(names) - len(vitals.memory)
    if left > 0:
        words = ngettext(
            "%(count)s more queue is measured with the next looks.",
            "%(count)s more queues are measured with the next looks.",
            left,
        )
        rows.append(_row(words % {"count": exact(left)}))
    return element("tbody", rows, id="sys-queues")


def _row(text: str) -> SafeString:
    return element("tr", element("td", text, class_="empty", colspan="6"))


def _facts(shown: Iterable[tuple[str, Any]]) -> SafeString:
    return join(
        element(
            "div",
            element("dt", word),
            element("dd", element("span", _("unknown"), class_="zero") if body is None else body),
        )
        for word, body in shown
    )


def _yes(value: bool) -> SafeString:
    return element("span", _("on") if value else _("off"), class_=None if value else "t-warn")


def _word(value: str | None, good: str = "ok") -> SafeString | None:
    if value is None:
        return None
    return element("span", visible(value), class_=None if value == good else "bad")


def _policy(value: str | None) -> SafeString | None:
    return _word(value, good="noeviction") if value else None


def _limit(value: int | None) -> Any:
    if value is None:
        return None
    return size(value) if value else _("none")


def _size(value: int | None) -> Any:
    return None if value is None else _bytes(value)


def _time(seconds: int | None) -> SafeString | None:
    from datetime import UTC

    if not seconds or not 0 < seconds < 253_402_300_799:
        return None
    return moment(datetime.fromtimestamp(seconds, UTC), "date")


def _growth(grew: int | None, since_s: float) -> SafeString:
    if grew is None:
        return element("span", DASH, class_="zero", title=_("A minute must pass first."))
    sign = "+" if grew > 0 else "−" if grew < 0 else "±"
    return element(
        "span",
        f"{sign}{size(abs(grew))}",
        class_=None if grew else "zero",
        title=_("in the last %(time)s") % {"time": duration_text(since_s)},
    )


def _micro(microseconds: int) -> SafeString:
    figure, unit = short(microseconds / 1000)
    if microseconds < 10_000_000:
        figure, unit = figures(f"{microseconds / 1000:,.1f}"), ""
    return join([figure, element("u", f"{unit}ms")])


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
