"""What the audit page shows of one action, cell by cell."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from queuecore.audit_log import OPEN, VERIFY, Action

from .. import links
from . import payload
from .icons import icon
from .markup import element, join
from .values import exact, moment, visible

_SHORTEST = 160


def word(action: str) -> str:
    """What an action is called; one that is not known here keeps its name."""
    known = {
        "retry": _("Retry"),
        "promote": _("Promote"),
        "remove": _("Remove"),
        "cancel": _("Cancel job"),
        "pause": _("Pause queue"),
        "resume": _("Resume queue"),
        "mute": _("Mute"),
        "unmute": _("Unmute"),
        "clean": _("Clean"),
        "drain": _("Drain"),
        "obliterate": _("Obliterate"),
        "limits": _("Set limits"),
        "lift": _("Lift the rate limit"),
        "named_limit": _("Set a named limit"),
        "pause_group": _("Pause a group of jobs"),
        "resume_group": _("Resume a group of jobs"),
        "group_limits": _("Set limits of a group of jobs"),
        "stop_group": _("Stop a group of jobs for a while"),
        "empty_group": _("Empty a group of jobs"),
        "lift_group": _("Lift the rate limit of a group of jobs"),
        "release_deduplication": _("Free a deduplication id"),
        "priority": _("Change priority"),
        "delay": _("Change delay"),
        "note": _("Add a note to the log"),
        "data": _("Edit data"),
        "duplicate": _("Duplicate"),
        "release_key": _("Release a job's deduplication id"),
        "repair": _("Repair"),
        "run_scheduler": _("Run scheduler now"),
        "pause_scheduler": _("Pause scheduler"),
        "resume_scheduler": _("Resume scheduler"),
        "change_scheduler": _("Change scheduler"),
        "create_scheduler": _("Create scheduler"),
        "remove_scheduler": _("Remove scheduler"),
        "pause_worker": _("Pause worker"),
        "resume_worker": _("Resume worker"),
        "drain_worker": _("Drain and stop worker"),
        "pause_operation": _("Pause operation"),
        "resume_operation": _("Resume operation"),
        "abort_operation": _("Abort operation"),
        "rate_operation": _("Set an operation's rate"),
        "retry_outbox": _("Try jobs of the outbox again"),
        "remove_outbox": _("Give up jobs of the outbox"),
        "presets": _("Make groups"),
        "give_permissions": _("Give permissions"),
        "take_permissions": _("Take permissions"),
        "join_groups": _("Add to groups"),
        "leave_groups": _("Take out of groups"),
        "remove_group": _("Remove group"),
        "create_scope": _("Make a queue scope"),
        "change_scope": _("Change a queue scope"),
        "remove_scope": _("Remove a queue scope"),
        VERIFY: _("Verify the record"),
    }
    return known.get(action) or visible(action.replace("_", " "))


def outcome_word(outcome: str) -> str:
    """The word of an outcome."""
    return {
        "done": _("Done"),
        "failed": _("Failed"),
        "denied": _("Refused"),
        "aborted": _("Aborted"),
        OPEN: _("No result yet"),
    }.get(outcome, visible(outcome))


def history(actions: Iterable[Action], mount: str) -> list[dict[str, Any]]:
    """What was done to one thing, for the list on its own page."""
    return [
        {
            "actor": one.actor,
            "word": word(one.action),
            "at": one.at,
            "outcome": outcome(one),
            "bad": one.outcome != "done",
            "reason": one.reason,
            "note": _rate(one),
            "url": f"{mount}audit/{one.record}/",
        }
        for one in actions
    ]


def _rate(action: Action) -> str:
    """To what an operation's rate was set."""
    if action.action != "rate_operation":
        return ""
    rate = str(action.params.get("rate") or "")
    if not rate.isascii() or not rate.isdigit() or rate == "0":
        return _("to as fast as it goes")
    return _("to %(count)s a second") % {"count": exact(int(rate))}


def cells(action: Action) -> dict[str, SafeString]:
    """The cells that may change while one looks: an action's result comes after it."""
    return {"outcome": outcome(action), "count": count(action)}


def outcome(action: Action) -> SafeString:
    """Icon and word of how it ended; normal is quiet."""
    text = outcome_word(action.outcome)
    if action.outcome == "done":
        return element("span", icon("check", 14), text, class_="with-icon t-completed")
    if action.outcome == OPEN and "until" in action.params:  # an operation
        return element("span", icon("operations", 14), _("Not over yet"), class_="badge badge-info")
    if action.outcome == OPEN:
        return element("span", icon("stuck", 14), text, class_="badge badge-warn")
    if action.outcome == "aborted":
        words = {"who": visible(str(action.result.get("by") or ""))}
        by = _("Aborted by %(who)s") % words if words["who"] else None
        return element("span", icon("close", 14), text, class_="badge badge-paused", title=by)
    name = "lock" if action.outcome == "denied" else "failing"
    return element(
        "span", icon(name, 14), text, class_="badge badge-bad", title=visible(action.error)
    )


def count(action: Action) -> SafeString:
    """How many jobs or things it concerned, where it says so."""
    if action.count is None:
        return element("span", "–", class_="zero")
    return element("span", exact(action.count), class_=None if action.count else "zero")


def target(action: Action, mount: str) -> SafeString:
    """The queue, and what was acted upon in it; a job's id leads to the job."""
    if not action.queue:
        if action.target and not action.alias:  # a group, a user, a scope
            return element("span", target_text(action))
        what = visible(action.alias) if action.alias else _("everything")
        return element("span", what, class_="muted")
    queue = element(
        "a",
        visible(action.queue),
        href=links.queue_url(mount, action.alias or links.DEFAULT, action.queue),
        class_="aud-queue",
    )
    return join([queue, element("span", target_text(action), class_="aud-target")])


def target_text(action: Action) -> str:
    """What was acted upon inside the queue, in one short line."""
    ids = ids_of(action)
    if ids is not None:
        shown = ", ".join(visible(one) for one in ids[:3])
        more = _("and %(count)s more") % {"count": exact(len(ids) - 3)} if len(ids) > 3 else ""
        return " ".join(part for part in (shown, more) if part)
    text = visible(action.target)
    return text if len(text) <= _SHORTEST else text[: _SHORTEST - 1] + "…"


def ids_of(action: Action) -> list[str] | None:
    """The ids of ticked jobs; None where the target is something else."""
    if not action.target.startswith("["):
        return None
    try:
        ids = json.loads(action.target)
    except ValueError:
        return None
    fits = isinstance(ids, list) and ids and all(isinstance(one, str) for one in ids)
    return ids if fits else None


def who(action: Action) -> SafeString:
    """The person (or the program) and the address it came from."""
    return join(
        [
            element("span", visible(action.actor), class_="aud-who"),
            element("span", visible(action.ip), class_="aud-ip mono") if action.ip else None,
        ]
    )


def facts(values: dict[str, Any]) -> SafeString:
    """Parameters or a result as a tree."""
    return payload.tree(json.dumps(values, ensure_ascii=False))


def when(action: Action) -> SafeString:
    """When it began."""
    return moment(action.at, "date")
