"""Every address of the dashboard, taken from its URLconf, and what each one asks for.

An address that is missing here makes ``test_every_address_is_in_the_table`` fail: whoever adds a
page says who may see it.
"""

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, reverse

from dashboard import urls

# Name -> (method, permissions beside `view`). The permissions are tried one by one.
PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "overview": ("GET", ()),
    "queues": ("GET", ()),
    "confirm_queues": ("GET", ("pause_queue",)),
    "order_queues": ("POST", ("pause_queue",)),
    "queue": ("GET", ()),
    "jobs": ("GET", ()),
    "job": ("GET", ()),
    "go": ("GET", ()),
    "suggest": ("GET", ()),
    "preferences": ("GET", ()),
    "keep_preferences": ("POST", ()),
    "audit": ("GET", ("view_audit",)),
    "audit_verify": ("POST", ("view_audit",)),
    "system": ("GET", ()),
    "integrity": ("GET", ()),
    "confirm_repair": ("GET", ("clean_queue",)),
    "repair": ("POST", ("clean_queue",)),
    "workers": ("GET", ()),
    "worker": ("GET", ()),
    "confirm_workers": ("GET", ("manage_workers",)),
    "order_workers": ("POST", ("manage_workers",)),
    "operations": ("GET", ()),
    "confirm_operation": ("GET", ("retry", "bulk")),
    "start_operation": ("POST", ("retry", "bulk")),
    "schedulers": ("GET", ()),
    "scheduler": ("GET", ()),
    "new_scheduler": ("GET", ("manage_schedulers",)),
    "edit_scheduler": ("GET", ("manage_schedulers",)),
    "preview_schedule": ("GET", ("manage_schedulers",)),
    "confirm_pause_scheduler": ("GET", ("manage_schedulers",)),
    "confirm_remove_scheduler": ("GET", ("manage_schedulers",)),
    "run_scheduler": ("POST", ("manage_schedulers",)),
    "pause_scheduler": ("POST", ("manage_schedulers",)),
    "resume_scheduler": ("POST", ("manage_schedulers",)),
    "change_scheduler": ("POST", ("manage_schedulers",)),
    "remove_scheduler": ("POST", ("manage_schedulers",)),
    "create_scheduler": ("POST", ("manage_schedulers",)),
    "confirm_pause": ("GET", ("pause_queue",)),
    "confirm_resume": ("GET", ("pause_queue",)),
    "confirm_mute": ("GET", ("pause_queue",)),
    "confirm_unmute": ("GET", ("pause_queue",)),
    "mute": ("POST", ("pause_queue",)),
    "unmute": ("POST", ("pause_queue",)),
    "confirm_run_scheduler": ("GET", ("manage_schedulers",)),
    "confirm_clean": ("GET", ("clean_queue",)),
    "confirm_limits": ("GET", ("set_limits",)),
    "limits": ("POST", ("set_limits",)),
    "lift": ("POST", ("set_limits",)),
    "confirm_named_limit": ("GET", ("set_limits",)),
    "named_limit": ("POST", ("set_limits",)),
    "groups": ("GET", ()),
    "group": ("GET", ()),
    "confirm_pause_group": ("GET", ("pause_queue",)),
    "confirm_group_limits": ("GET", ("set_limits",)),
    "confirm_stop_group": ("GET", ("set_limits",)),
    "confirm_empty_group": ("GET", ("clean_queue", "bulk")),
    "empty_group": ("POST", ("clean_queue", "bulk")),
    "pause_group": ("POST", ("pause_queue",)),
    "resume_group": ("POST", ("pause_queue",)),
    "group_limits": ("POST", ("set_limits",)),
    "stop_group": ("POST", ("set_limits",)),
    "lift_group": ("POST", ("set_limits",)),
    "deduplication": ("GET", ()),
    "release_deduplication": ("POST", ("edit_job",)),
    "confirm_remove": ("GET", ("remove",)),
    "job_value": ("GET", ("view_payload",)),
    "confirm_priority": ("GET", ("edit_job",)),
    "confirm_delay": ("GET", ("edit_job",)),
    "confirm_note": ("GET", ("edit_job",)),
    "confirm_data": ("GET", ("edit_job", "view_payload")),
    "confirm_duplicate": ("GET", ("add_job", "view_payload")),
    "job_priority": ("POST", ("edit_job",)),
    "job_delay": ("POST", ("edit_job",)),
    "job_note": ("POST", ("edit_job",)),
    "job_data": ("POST", ("edit_job", "view_payload")),
    "job_duplicate": ("POST", ("add_job", "view_payload")),
    "job_release": ("POST", ("edit_job",)),
    "pause": ("POST", ("pause_queue",)),
    "resume": ("POST", ("pause_queue",)),
    "clean": ("POST", ("clean_queue",)),
    "retry": ("POST", ("retry",)),
    "promote": ("POST", ("promote",)),
    "remove": ("POST", ("remove",)),
    "retry_many": ("POST", ("retry", "bulk")),
    "promote_many": ("POST", ("promote", "bulk")),
    "remove_many": ("POST", ("remove", "bulk")),
    "confirm_cancel": ("GET", ("cancel",)),
    "cancel": ("POST", ("cancel",)),
    "cancel_many": ("POST", ("cancel", "bulk")),
}
# These answer anybody, or answer by themselves: each has tests of its own.
APART = {
    "healthz",
    "readyz",
    "login",
    "logout",
    "operation",
    "steer_operation",
    "audit_entry",
    "live_poll",
    "missing",
    "of_connection",
}

# Which job each action is tried on.
JOBS = {
    "retry": "failed-1",
    "promote": "delayed-1",
    "remove": "completed-1",
    "confirm_remove": "waiting-1",
    "confirm_cancel": "active-1",
    "cancel": "active-1",
}


def _walk(patterns: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns)
        else:
            yield pattern


#: Name -> the parts of its address, of all addresses; those below a connection once.
PARTS = {str(one.name): set(one.pattern.converters) for one in reversed([*_walk(urls.urlpatterns)])}
OF_A_QUEUE = [name for name in PAGES if "queue" in PARTS.get(name, ())]

# What stands for the parts of addresses that are neither queue nor job.
VALUES: dict[str, str] = {"scheduler": "nightly", "worker": "a" * 32, "verb": "pause"}
VALUES |= {"field": "data", "group": "acme", "limit": "api"}


def names() -> Iterator[str]:
    """The names of all addresses."""
    yield from PARTS


def address(name: str, queue: str = "emails", alias: str | None = None) -> str:
    """The address of *name* for the queue of the fixtures."""
    known = {**VALUES, "queue": queue, "job": JOBS.get(name, "failed-1")}
    given = {part: known[part] for part in PARTS[name] if part != "alias"}
    if alias is not None and given:
        given["alias"] = alias
    return reverse(f"queuecore_dashboard:{name}", kwargs=given)
