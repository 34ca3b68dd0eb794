"""What is shown of a worker and its process: the same for table, page and live patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from queuecore.fleet import FleetProcess, FleetSupervisor, FleetWorker, LostJob, WorkerInfo

from .. import links
from ..crew import Member, Others, Peer
from ..health import language
from . import fleets
from .icons import icon
from .markup import element, join, phrase
from .states import state_icon
from .values import DASH, address, duration, exact, moment, number, parts, percent, size, visible

#: Jobs that a row names, and peers and lost jobs that a page lists.
_JOBS, _PEERS, _LOST = 2, 200, 50


def cells(one: Member, mount: str) -> dict[str, SafeString]:
    """Every live cell of a worker's row."""
    worker = one.worker
    return {
        "state": state(worker, one.process),
        "busy": busy(worker.busy, worker.concurrency),
        "jobs": jobs(one, mount),
        "done": number(worker.done_per_minute),
        "failed": failed(worker.failed_per_minute),
    }


def gone() -> dict[str, SafeString]:
    """The cells of a worker that has ended since the page was made."""
    ended = element("span", state_icon("gone"), _("Ended"), class_="wstate", data_state="gone")
    dash = element("span", DASH, class_="zero")
    return {"state": ended, "busy": dash, "jobs": join([]), "done": dash, "failed": dash}


def state(worker: FleetWorker, process: FleetProcess) -> SafeString:
    """The worker's state: icon and word; what a silent process last said is not believed."""
    if process.health == "lost":
        words, drawn = pgettext("state of a worker", "Lost"), icon("lost", 16)
        return element("span", drawn, words, class_="wstate bad", data_state="lost")
    drawn, words = {
        "running": (state_icon("active"), pgettext("state of a worker", "Running")),
        "paused": (state_icon("paused"), pgettext("state of a worker", "Paused")),
        "draining": (icon("drain", 16), pgettext("state of a worker", "Draining")),
        "closing": (icon("stop", 16), pgettext("state of a worker", "Closing")),
    }[worker.state]
    return element("span", drawn, words, class_="wstate", data_state=worker.state)


def busy(used: int, most: int) -> SafeString:
    """``3 of 10`` and a bar of it."""
    width = 100 * min(1.0, used / most) if most else 0
    bar = element(
        "svg",
        element("rect", width="100%", height=6, rx=3, class_="bar-rest"),
        element("rect", width=f"{width:.1f}%", height=6, rx=3, class_="fill-active"),
        width=56,
        height=6,
        class_="meter",
        aria_hidden="true",
    )
    words = _("%(busy)s of %(most)s") % {"busy": exact(used), "most": exact(most)}
    figure = element("span", words, class_="num" if used else "num muted")
    return element("span", bar, figure, class_="wbusy")


def jobs(one: Member, mount: str) -> SafeString:
    """The jobs that run longest, with the time they have taken so far."""
    worker = one.worker
    shown = [
        element("span", _job(one, job.id, job.name, mount), moment(job.since, "run"), class_="wjob")
        for job in worker.jobs[:_JOBS]
    ]
    more = worker.busy - len(shown)
    if more > 0:
        words = ngettext("+%(count)s more", "+%(count)s more", more) % {"count": exact(more)}
        shown.append(element("span", words, class_="muted"))
    return join(shown)


def failed(count: int) -> SafeString:
    """Jobs failed in the last minute; red where there are any."""
    body = number(count)
    return element("span", body, class_="bad") if count else body


def health(process: FleetProcess) -> SafeString:
    """Whether the process is heard of, in a word, and when it last was."""
    if process.health == "ok":
        word = element("span", pgettext("heartbeat of a process", "OK"), class_="wok")
    else:
        late = process.health == "late"
        words = (
            pgettext("heartbeat of a process", "Late")
            if late
            else pgettext("heartbeat of a process", "Lost")
        )
        kind = "badge badge-warn" if late else "badge badge-bad"
        word = element("span", icon("stuck" if late else "lost", 14), words, class_=kind)
    heard = phrase(_("heard %(time)s ago"), time=moment(process.heartbeat, "age"))
    return join([word, " ", element("span", heard, class_="muted wheard")])


def process_facts(process: FleetProcess, workers: Sequence[FleetWorker] = ()) -> SafeString:
    """Memory, CPU, loop lag, start and versions of a process in one line.

    Of one of a fleet also what its *workers* have done, those that may be seen.
    """
    shown: list[tuple[str, Any]] = [
        (_("Memory"), memory(process.memory)),
        (_("CPU"), percent(process.cpu)),
        (_("Loop lag"), lag(process.lag_ms)),
        (_("Started"), moment(process.started, "age")),
    ]
    if process.place is not None:
        shown += _done(workers)
    return join([*_worded(shown), element("span", versions(process), class_="muted wver")])


def fleet_facts(found: Sequence[Member], supervisor: FleetSupervisor | None) -> SafeString:
    """Of the processes of one fleet together: slots, memory, what they do, what ended there."""
    alive = [one for one in found if one.process.health != "lost"]
    processes = {one.process.id: one.process for one in alive}.values()
    places = [one.place for one in processes if one.place is not None]
    used = sum(one.worker.busy for one in alive)
    most = sum(one.worker.concurrency for one in alive)
    restarts = max((one.restarts for one in places), default=0)
    recycles = max((one.recycles for one in places), default=0)
    if supervisor is not None:
        restarts, recycles = supervisor.restarts, supervisor.recycles
    shown: list[tuple[str, Any]] = [
        (_("Busy"), _("%(busy)s of %(most)s") % {"busy": exact(used), "most": exact(most)}),
        (_("Memory"), memory(sum(one.memory for one in processes))),
        *_done([one.worker for one in alive]),
    ]
    if supervisor is not None:
        shown.append((_("Up for"), moment(supervisor.started, "age")))
    shown.append((_("Restarts"), failed(restarts)))
    shown.append((_("Recycles"), number(recycles)))
    return join(_worded(shown))


def fleet_state(
    found: Sequence[Member], size: int, supervisor: FleetSupervisor | None
) -> SafeString:
    """How many processes of a fleet live, what ended there last, and what will be."""
    # One that is being replaced stands beside its follower, in the same place.
    places = [one.process.place for one in found if one.process.health != "lost"]
    alive = len({place.number for place in places if place is not None})
    words = _("%(count)s of %(size)s processes") % {"count": exact(alive), "size": exact(size)}
    lines: list[Any] = [element("span", words, class_="num muted")]
    if supervisor is None:
        return join(lines)
    if supervisor.health == "lost":
        text = phrase(_("supervisor heard %(time)s ago"), time=moment(supervisor.heartbeat, "age"))
        lines.append(element("span", icon("lost", 14), text, class_="badge badge-bad"))
    trouble = fleets.waiting(supervisor)
    lines += [element("span", fleets.seat(supervisor, one), class_="wseat") for one in trouble]
    last = fleets.last(supervisor)
    if last is not None and last not in trouble:
        lines.append(element("span", fleets.ended(supervisor, last), class_="muted wseat"))
    return join(lines)


def _done(workers: Sequence[FleetWorker]) -> list[tuple[str, Any]]:
    return [
        (pgettext("a rate", "Done/min"), number(sum(one.done_per_minute for one in workers))),
        (pgettext("a rate", "Failed/min"), failed(sum(one.failed_per_minute for one in workers))),
    ]


def _worded(shown: Sequence[tuple[str, Any]]) -> list[SafeString]:
    return [
        element("span", element("span", word, class_="muted"), " ", body) for word, body in shown
    ]


def memory(count: int) -> SafeString:
    """Bytes with their unit muted; a dash where the system does not say."""
    if not count:
        return element("span", DASH, class_="zero")
    figure, _space, unit = size(count).partition(" ")
    return join([figure, element("u", unit)])


def versions(process: FleetProcess) -> str:
    """``QueueCore 0.1.0 · Python 3.11.7 · Django 5.2``."""
    known = (
        ("QueueCore", process.queuecore),
        ("Python", process.python),
        ("Django", process.django),
    )
    return " · ".join(f"{name} {visible(version)}" for name, version in known if version)


def lag(ms: int) -> SafeString:
    """How long the event loop made a call wait; a warning from half a second on."""
    body = join([exact(ms), element("u", "ms")]) if ms < 10_000 else join([exact(ms // 1000), "s"])
    return element("span", body, class_="bad") if ms >= 500 else body


def crowd(found: Sequence[Member], rest: Others) -> str:
    """The line beside the title: how many workers, where, and how busy they are."""
    processes = {(one.process.id) for one in found}
    hosts = {one.process.host for one in found}
    used = sum(one.worker.busy for one in found if one.process.health != "lost")
    most = sum(one.worker.concurrency for one in found if one.process.health != "lost")
    words = [
        ngettext("%(count)s worker", "%(count)s workers", len(found)) % {"count": len(found)},
        ngettext("in %(count)s process", "in %(count)s processes", len(processes))
        % {"count": len(processes)},
        ngettext("on %(count)s host", "on %(count)s hosts", len(hosts)) % {"count": len(hosts)},
    ]
    parts = [" ".join(words)] if found else []
    if found:
        parts.append(_("%(busy)s of %(most)s busy") % {"busy": exact(used), "most": exact(most)})
    if rest.found:
        count = len(rest.found)
        parts.append(
            ngettext("%(count)s of another library", "%(count)s of other libraries", count)
            % {"count": exact(count)}
        )
    return " · ".join(parts)


def peers(rest: Others, mount: str, several: bool) -> SafeString:
    """The rows of workers that do not tell of themselves."""
    body: list[Any] = [
        element(
            "tr",
            element(
                "th",
                visible(one.info.name) or element("span", _("unnamed"), class_="muted"),
                scope="row",
                class_="c-peer",
            ),
            element("td", _queue(one.alias, one.info.queue, mount, several), class_="c-peer-queue"),
            element("td", _peer_jobs(one, mount), class_="c-peer-jobs"),
            element("td", _client(one.info), class_="c-peer-client"),
            element("td", address(one.info.address), class_="mono muted c-address"),
            element("td", _age(one.info.idle_s), class_="num c-peer-idle"),
            element("td", _age(one.info.age_s), class_="num c-peer-age"),
        )
        for one in rest.found[:_PEERS]
    ]
    if len(rest.found) > _PEERS:
        words = _("and %(count)s more") % {"count": exact(len(rest.found) - _PEERS)}
        body.append(element("tr", element("td", words, colspan=7, class_="empty")))
    if rest.unknown and not several:
        words = _("Unknown: the server does not let the dashboard list its clients.")
        body = [element("tr", element("td", words, colspan=7, class_="empty"))]
    elif not body:
        words = _("None is connected. A BullMQ worker of Node is here within ten seconds.")
        body = [element("tr", element("td", words, colspan=7, class_="empty"))]
    if rest.unknown and several:
        names = ", ".join(map(visible, rest.unknown))
        words = _(
            "Unknown on %(names)s: the server does not answer, or lets nobody list its clients."
        )
        body.append(
            element("tr", element("td", words % {"names": names}, colspan=7, class_="empty"))
        )
    return element("tbody", body, id="workers-peers")


def lost_jobs(found: Sequence[tuple[str, LostJob]], mount: str, several: bool) -> SafeString:
    """The rows of jobs that nobody runs although they are active."""
    body: list[Any] = [
        element(
            "tr",
            element(
                "th",
                element(
                    "a",
                    visible(one.name) or DASH,
                    href=links.job_url(mount, alias, one.queue, one.id),
                ),
                " ",
                element("code", visible(one.id)),
                scope="row",
                class_="c-peer",
            ),
            element("td", _queue(alias, one.queue, mount, several), class_="c-peer-queue"),
            element("td", visible(one.processed_by) or DASH, class_="c-peer-client"),
            element("td", number(one.stalled_count), class_="num c-peer-idle"),
            element("td", moment(one.since, "age"), class_="num c-peer-age"),
        )
        for alias, one in found[:_LOST]
    ]
    if not body:
        words = _("None: every active job is held by a worker.")
        body = [element("tr", element("td", words, colspan=5, class_="empty"))]
    return element("tbody", body, id="workers-lost")


def running(one: Member, mount: str) -> SafeString:
    """The rows of everything that a worker runs."""
    worker = one.worker
    body: list[Any] = [
        element(
            "tr",
            element("th", _job(one, job.id, job.name, mount), scope="row"),
            element("td", element("code", visible(job.id))),
            element("td", moment(job.since), class_="num"),
            element("td", moment(job.since, "run"), class_="num"),
        )
        for job in worker.jobs
    ]
    more = worker.busy - len(worker.jobs)
    if more > 0:
        words = _("and %(count)s more that began later") % {"count": exact(more)}
        body.append(element("tr", element("td", words, colspan=4, class_="empty")))
    if not body:
        words = _("It runs no job at the moment.")
        body = [element("tr", element("td", words, colspan=4, class_="empty"))]
    return element("tbody", body, id="worker-jobs")


def short(id: str) -> str:
    """The beginning of a worker's id, enough to tell it from others."""
    return id[:8]


def _job(one: Member, job_id: str, name: str, mount: str) -> SafeString:
    href = links.job_url(mount, one.alias, one.worker.queue, job_id)
    return element("a", visible(name) or visible(job_id), href=href, title=visible(job_id))


def _peer_jobs(one: Peer, mount: str) -> SafeString:
    """The jobs of a peer that run longest; where nobody can say whose they are, how many."""
    if one.busy is None:
        words = ngettext(
            "%(count)s job of its queue runs on one of these workers",
            "%(count)s jobs of its queue run on these workers",
            one.shared,
        )
        return element("span", words % {"count": exact(one.shared)}, class_="muted")
    shown = []
    for job in one.jobs[:_JOBS]:
        href = links.job_url(mount, one.alias, one.info.queue, job.id)
        name = visible(job.name) or visible(job.id)
        link = element("a", name, href=href, title=visible(job.id))
        shown.append(element("span", link, moment(job.since, "run"), class_="wjob"))
    more = one.busy - len(shown)
    if more > 0:
        words = ngettext("+%(count)s more", "+%(count)s more", more) % {"count": exact(more)}
        shown.append(element("span", words, class_="muted"))
    return join(shown) if shown else element("span", _("nothing"), class_="zero")


def _queue(alias: str, queue: str, mount: str, several: bool) -> SafeString:
    words = f"{visible(alias)} / {visible(queue)}" if several else visible(queue)
    return element("a", words, href=links.queue_url(mount, alias, queue))


def _client(one: WorkerInfo) -> SafeString:
    spoken = language(one.library)
    if not one.library:
        why = _("Servers tell the library of a connection from Redis 7.2 on, where it says it.")
        return element("span", _("unknown"), class_="muted", title=why)
    lang = element("span", visible(spoken), class_="lang") if spoken else None
    return join([lang, element("span", visible(one.library), class_="muted")])


def _age(seconds: int) -> SafeString:
    if seconds >= 60:
        return duration(float(seconds))
    (_figure, unit), *_rest = parts(1.0)
    return join([exact(seconds), element("u", unit)])  # the server tells whole seconds
