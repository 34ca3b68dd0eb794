"""What an integrity check may find, in words: what it is, why it matters, what a repair does."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Words:
    """``title``, what it ``means``, and what a ``repair`` does (or who must look at it)."""

    title: str
    means: str
    repair: str


def words(kind: str) -> Words:
    """The words of a kind of finding."""
    return {
        "twice": Words(
            _("Jobs in two states"),
            _("An id stands in more than one state, so it may run twice or never be seen to end."),
            _("It stays where a worker holds it, where it ended, or where it runs soonest."),
        ),
        "ghost": Words(
            _("Ids without a job"),
            _("A state lists an id whose job is gone: counts are too high."),
            _("The id is taken out. One that a worker holds stays."),
        ),
        "lock": Words(
            _("Locks that nobody needs"),
            _("A job is locked though no worker runs it, so it cannot be removed or retried."),
            _("The lock is deleted if the job is still not active."),
        ),
        "parts": Words(
            _("Leftovers of jobs"),
            _("Logs or children's lists of jobs that are gone take memory."),
            _("They are deleted."),
        ),
        "orphan": Words(
            _("Jobs in no state"),
            _("A job is stored but listed nowhere: no worker will ever take it."),
            _("One that never ended waits again, in its own turn; one that ended is deleted."),
        ),
        "unknown": Words(
            _("Jobs that nobody can place"),
            _("A job in no state lacks its name or data, or was a scheduler's run."),
            _("No safe repair: look at it, and remove it by hand if nobody misses it."),
        ),
        "parent": Words(
            _("Parents that wait for nobody"),
            _("All children are done, but the parent was not told."),
            _("It runs, with its own delay and priority."),
        ),
        "child": Words(
            _("Parents that wait for lost children"),
            _("A child that a parent waits for was deleted behind its back."),
            _("The child is forgotten as if it had been removed; the parent goes on without it."),
        ),
        "group": Words(
            _("Grouped jobs out of their place"),
            _("A group misses one of its jobs, lists one that is gone, or miscounts what runs."),
            _("Jobs get their place again, groups their turn; what runs is counted anew."),
        ),
        "stalled": Words(
            _("Active jobs without a lock"),
            _("Their worker died, or lost the connection for longer than a lock lasts."),
            _("They are marked, and the next check of any worker lets them run again."),
        ),
        "marker": Words(
            _("Waiting jobs that nothing announces"),
            _("Jobs wait, nothing runs, and idle workers have not been woken."),
            _("One worker is woken; it takes what it can."),
        ),
        "overdue": Words(
            _("Late delayed jobs that nothing announces"),
            _("Delayed jobs are past their time, and idle workers do not know of them."),
            _("Idle workers are told when the first one is due."),
        ),
        "deduplication": Words(
            _("Deduplication ids of lost jobs"),
            _("A job that is gone owns an id for good: Node’s clients add no more under it."),
            _("The id is free again. Ids with a time to live are left alone."),
        ),
        "events": Words(
            _("Event streams over their limit"),
            _("A stream holds more events than it should, and takes memory."),
            _("The oldest events go, down to the limit."),
        ),
        "paused": Words(
            _("Jobs left in a pause that is over"),
            _("BullMQ 5 keeps jobs of a paused queue apart; some were not brought back."),
            _("No safe repair: resume the queue, which brings them back."),
        ),
    }[kind]
