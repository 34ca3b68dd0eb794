"""Addresses of the dashboard; a host includes them wherever it likes.

The pages of the default connection stand at the mount, those of another one under ``@<alias>/``.
Every name and id is one segment (:mod:`.links`).
"""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path, register_converter
from django.urls.converters import get_converters

from .actions import (
    cancellations,
    cleanings,
    deduplication,
    groups,
    job_edits,
    limits,
    mutes,
    named_limits,
    pauses,
    preferences,
    promotions,
    removals,
    repairs,
    retries,
    verifications,
)
from .actions import operations as operation_orders
from .actions import queues as queue_orders
from .actions import schedulers as schedules
from .actions import workers as worker_orders
from .links import NameConverter
from .live import views as live_views
from .pages import (
    audit,
    confirm,
    elsewhere,
    job,
    jobs,
    operations,
    overview,
    palette,
    probes,
    queue,
    queues,
    schedulers,
    session,
    system,
    workers,
)
from .pages import deduplication as deduplication_page
from .pages import groups as groups_page
from .pages import preferences as preferences_page

app_name = "queuecore_dashboard"

if "queuecore_name" not in get_converters():
    register_converter(NameConverter, "queuecore_name")

_QUEUE = "queues/<queuecore_name:queue>/"
_JOB = f"{_QUEUE}jobs/<queuecore_name:job>/"
_LIMIT = "<queuecore_name:limit>/"
_GROUP = f"{_QUEUE}groups/<queuecore_name:group>/"
_SCHEDULER = "schedulers/<queuecore_name:queue>/<queuecore_name:scheduler>/"

_connection: list[URLPattern | URLResolver] = [
    path(_QUEUE, queue.queue, name="queue"),
    path(f"{_QUEUE}jobs/", jobs.jobs, name="jobs"),
    path(_JOB, job.job, name="job"),
    path(f"{_QUEUE}confirm/pause/", confirm.pause, name="confirm_pause"),
    path(f"{_QUEUE}confirm/resume/", confirm.resume, name="confirm_resume"),
    path(f"{_QUEUE}deduplication/", deduplication_page.deduplication, name="deduplication"),
    path(f"{_QUEUE}deduplication/release/", deduplication.release, name="release_deduplication"),
    path(f"{_QUEUE}confirm/mute/", confirm.mute, name="confirm_mute"),
    path(f"{_QUEUE}confirm/unmute/", confirm.unmute, name="confirm_unmute"),
    path(f"{_QUEUE}mute/", mutes.mute, name="mute"),
    path(f"{_QUEUE}unmute/", mutes.unmute, name="unmute"),
    path(f"{_QUEUE}confirm/limits/", confirm.limits, name="confirm_limits"),
    path(f"{_QUEUE}limits/", limits.limits, name="limits"),
    path(f"{_QUEUE}limits/lift/", limits.lift, name="lift"),
    path(f"{_QUEUE}confirm/limits/{_LIMIT}", confirm.named_limit, name="confirm_named_limit"),
    path(f"{_QUEUE}limits/{_LIMIT}set/", named_limits.named_limit, name="named_limit"),
    path(f"{_QUEUE}groups/", groups_page.groups, name="groups"),
    path(_GROUP, groups_page.group, name="group"),
    path(f"{_GROUP}confirm/pause/", confirm.pause_group, name="confirm_pause_group"),
    path(f"{_GROUP}confirm/limits/", confirm.group_limits, name="confirm_group_limits"),
    path(f"{_GROUP}confirm/stop/", confirm.stop_group, name="confirm_stop_group"),
    path(f"{_GROUP}confirm/empty/", confirm.empty_group, name="confirm_empty_group"),
    path(f"{_GROUP}empty/", groups.empty, name="empty_group"),
    path(f"{_GROUP}pause/", groups.pause, name="pause_group"),
    path(f"{_GROUP}resume/", groups.resume, name="resume_group"),
    path(f"{_GROUP}limits/", groups.limits, name="group_limits"),
    path(f"{_GROUP}stop/", groups.stop, name="stop_group"),
    path(f"{_GROUP}lift/", groups.lift, name="lift_group"),
    path(f"{_QUEUE}confirm/clean/", confirm.clean, name="confirm_clean"),
    path(f"{_JOB}confirm/remove/", confirm.remove, name="confirm_remove"),
    path(f"{_QUEUE}operations/confirm/", operations.confirm, name="confirm_operation"),
    path(f"{_QUEUE}operations/start/", operation_orders.start, name="start_operation"),
    path(f"{_QUEUE}pause/", pauses.pause, name="pause"),
    path(f"{_QUEUE}resume/", pauses.resume, name="resume"),
    path(f"{_QUEUE}clean/", cleanings.clean, name="clean"),
    path(f"{_QUEUE}bulk/retry/", retries.retry_many, name="retry_many"),
    path(f"{_QUEUE}bulk/promote/", promotions.promote_many, name="promote_many"),
    path(f"{_QUEUE}bulk/remove/", removals.remove_many, name="remove_many"),
    path(f"{_JOB}retry/", retries.retry, name="retry"),
    path(f"{_JOB}promote/", promotions.promote, name="promote"),
    path(f"{_JOB}remove/", removals.remove, name="remove"),
    path(f"{_JOB}confirm/cancel/", confirm.cancel, name="confirm_cancel"),
    path(f"{_JOB}cancel/", cancellations.cancel, name="cancel"),
    path(f"{_QUEUE}bulk/cancel/", cancellations.cancel_many, name="cancel_many"),
    path(f"{_JOB}value/<slug:field>/", job.value, name="job_value"),
    path(f"{_JOB}confirm/priority/", confirm.priority, name="confirm_priority"),
    path(f"{_JOB}confirm/delay/", confirm.delay, name="confirm_delay"),
    path(f"{_JOB}confirm/note/", confirm.note, name="confirm_note"),
    path(f"{_JOB}confirm/data/", confirm.data, name="confirm_data"),
    path(f"{_JOB}confirm/duplicate/", confirm.duplicate, name="confirm_duplicate"),
    path(f"{_JOB}priority/", job_edits.priority, name="job_priority"),
    path(f"{_JOB}delay/", job_edits.delay, name="job_delay"),
    path(f"{_JOB}note/", job_edits.note, name="job_note"),
    path(f"{_JOB}data/", job_edits.data, name="job_data"),
    path(f"{_JOB}duplicate/", job_edits.duplicate, name="job_duplicate"),
    path(f"{_JOB}release/", job_edits.release_key, name="job_release"),
    path("system/", system.system, name="system"),
    path("system/integrity/", system.integrity, name="integrity"),
    path("system/confirm/repair/", system.confirm_repair, name="confirm_repair"),
    path("system/repair/", repairs.repair, name="repair"),
    path("schedulers/", schedulers.schedulers, name="schedulers"),
    path(_SCHEDULER, schedulers.scheduler, name="scheduler"),
    path(f"{_SCHEDULER}edit/", schedulers.edit, name="edit_scheduler"),
    path(f"{_SCHEDULER}confirm/pause/", schedulers.pause, name="confirm_pause_scheduler"),
    path(f"{_SCHEDULER}confirm/remove/", schedulers.remove, name="confirm_remove_scheduler"),
    path(f"{_SCHEDULER}confirm/run/", confirm.run_scheduler, name="confirm_run_scheduler"),
    path(f"{_SCHEDULER}run/", schedules.run, name="run_scheduler"),
    path(f"{_SCHEDULER}pause/", schedules.pause, name="pause_scheduler"),
    path(f"{_SCHEDULER}resume/", schedules.resume, name="resume_scheduler"),
    path(f"{_SCHEDULER}change/", schedules.change, name="change_scheduler"),
    path(f"{_SCHEDULER}remove/", schedules.remove, name="remove_scheduler"),
    path(f"{_QUEUE}schedulers/create/", schedules.create, name="create_scheduler"),
    path("workers/<queuecore_name:worker>/", workers.worker, name="worker"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("login/", session.login, name="login"),
    path("logout/", session.logout, name="logout"),
    path("preferences/", preferences_page.preferences, name="preferences"),
    path("preferences/keep/", preferences.keep, name="keep_preferences"),
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("go/", elsewhere.go, name="go"),
    path("go/suggest/", palette.suggest, name="suggest"),
    path("live/poll/", live_views.poll, name="live_poll"),
    path("queues/", queues.queues, name="queues"),
    # Not below "queues/": any name may be a queue's.
    path("bulk/queues/confirm/<slug:verb>/", queue_orders.confirm, name="confirm_queues"),
    path("bulk/queues/<slug:verb>/", queue_orders.order, name="order_queues"),
    path("audit/", audit.audit_page, name="audit"),
    path("audit/verify/", verifications.verify, name="audit_verify"),
    path("audit/<slug:record>/", audit.audit_entry, name="audit_entry"),
    path("schedulers/new/", schedulers.new, name="new_scheduler"),
    path("schedulers/preview/", schedulers.preview, name="preview_schedule"),
    path("workers/", workers.workers, name="workers"),
    path("workers/confirm/<slug:verb>/", worker_orders.confirm, name="confirm_workers"),
    path("workers/order/<slug:verb>/", worker_orders.order, name="order_workers"),
    path("operations/", operations.operations, name="operations"),
    path("operations/<int:pk>/", operations.operation, name="operation"),
    path("operations/<int:pk>/<slug:verb>/", operation_orders.steer, name="steer_operation"),
    path("", include(_connection)),
    path("@<queuecore_name:alias>/", include(_connection)),
    path("@<queuecore_name:alias>/", elsewhere.of_connection, name="of_connection"),
    path("@<queuecore_name:alias>/<slug:page>/", elsewhere.of_connection, name="of_connection"),
    # What is unknown below our own first segments has our look and asks for a login, too.
    re_path(
        r"^(?:queues|schedulers|workers|@[^/]*)(?:/(?P<path>.*))?$",
        elsewhere.missing,
        name="missing",
    ),
]
