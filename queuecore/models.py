"""The tables of queuecore: who may see which queues, the record of what was done, operations.

``Queue`` has no table; it carries the permissions, so that they stand in Django's own user and
group forms. ``Job`` has none either: both are what the admin lists. ``QueueScope`` narrows a group
to some queues. ``AuditEntry`` and ``AuditHead`` are written by :mod:`queuecore.audit` alone,
``Operation`` by :mod:`queuecore.operations`, the outbox by ``Queue.add_in_transaction`` and
:mod:`queuecore.outbox`.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.contrib.auth.models import Group
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from .visible import visible

#: Codename and name of each permission, in the order in which people meet them. The names stand in
#: the database in English; pages translate them.
PERMISSIONS: tuple[tuple[str, str], ...] = (
    ("view", gettext_noop("Can see queues and jobs")),
    ("view_payload", gettext_noop("Can see data, results and logs of jobs")),
    ("retry", gettext_noop("Can retry jobs")),
    ("promote", gettext_noop("Can promote delayed jobs")),
    ("remove", gettext_noop("Can remove jobs")),
    ("cancel", gettext_noop("Can cancel running jobs")),
    ("add_job", gettext_noop("Can add jobs")),
    ("edit_job", gettext_noop("Can edit jobs")),
    ("bulk", gettext_noop("Can act on many jobs at once")),
    ("pause_queue", gettext_noop("Can pause and resume queues")),
    ("set_limits", gettext_noop("Can set concurrency and rate limits")),
    ("clean_queue", gettext_noop("Can clean and drain queues")),
    ("obliterate", gettext_noop("Can obliterate queues")),
    ("manage_schedulers", gettext_noop("Can change job schedulers")),
    ("manage_workers", gettext_noop("Can pause and stop workers")),
    ("triage_errors", gettext_noop("Can triage error groups")),
    ("manage_alerts", gettext_noop("Can change alerts")),
    ("export", gettext_noop("Can export jobs")),
    ("view_audit", gettext_noop("Can see the audit log")),
)


class Queue(models.Model):
    """A queue as an object of permissions; queues themselves live in Redis."""

    connection = models.CharField(_("connection"), max_length=200)
    name = models.CharField(_("name"), max_length=200)

    class Meta:
        managed = False
        default_permissions = ()
        permissions = PERMISSIONS
        verbose_name = _("queue")
        verbose_name_plural = _("queues")

    def __str__(self) -> str:
        return visible(f"{self.connection}/{self.name}")


class Job(models.Model):
    """A job as the admin shows it; jobs themselves live in Redis, and there is no table of them."""

    key = models.TextField(primary_key=True)
    connection = models.CharField(_("connection"), max_length=200)
    queue = models.CharField(_("queue"), max_length=500)
    job_id = models.TextField(_("job id"))
    name = models.TextField(_("name"))

    class Meta:
        managed = False
        default_permissions = ()
        verbose_name = _("job")
        verbose_name_plural = _("jobs")

    def __str__(self) -> str:
        return visible(f"{self.connection}/{self.queue}/{self.job_id}")


class QueueScope(models.Model):
    """Queues that members of a group may see; both fields are patterns with ``*`` and ``?``.

    A user none of whose groups has a row sees all queues; else the rows of all groups together.
    """

    group = models.ForeignKey(
        Group, on_delete=models.CASCADE, related_name="queue_scopes", verbose_name=_("group")
    )
    connection = models.CharField(
        _("connection"), max_length=200, default="*", help_text=_("An alias, or a pattern with *.")
    )
    pattern = models.CharField(
        _("pattern"), max_length=200, help_text=_("A queue's name, or a pattern such as mail-*.")
    )

    class Meta:
        verbose_name = _("queue scope")
        verbose_name_plural = _("queue scopes")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["group", "connection", "pattern"], name="queuecore_scope_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.group}: {self.connection}/{self.pattern}"


class _AppendOnly(models.QuerySet["AuditEntry"]):
    """Rows that can be added and read, and nothing else."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnly()

    def delete(self) -> NoReturn:
        raise AppendOnly()


class AppendOnly(TypeError):
    """Someone tried to change or delete an audit entry through Django."""

    def __init__(self) -> None:
        super().__init__("Audit entries are only ever added: they cannot be changed or deleted.")


class AuditEntry(models.Model):
    """One half of an action on record: what was about to be done, or how it ended.

    ``number`` counts from 1 without a gap. ``mac`` is an HMAC over ``previous`` (the mac of the
    entry before) and every other field but ``id``, with the key ``key_id``.
    """

    class Phase(models.TextChoices):
        INTENT = "intent", _("intent")
        RESULT = "result", _("result")

    class Outcome(models.TextChoices):
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        DENIED = "denied", _("denied")
        ABORTED = "aborted", _("aborted")

    number = models.BigIntegerField(_("number"), unique=True)
    at = models.DateTimeField(_("time"), db_index=True)
    phase = models.CharField(_("phase"), max_length=10, choices=Phase.choices)
    record = models.CharField(_("record"), max_length=32, db_index=True)
    # A key of the caller under which the action may happen only once; intents alone have one.
    once = models.CharField(max_length=100, unique=True, null=True, editable=False)  # noqa: DJ001
    actor = models.CharField(_("who"), max_length=200)
    actor_id = models.CharField(_("user id"), max_length=64, blank=True)
    ip = models.CharField(_("address"), max_length=64, blank=True)
    action = models.CharField(_("action"), max_length=64)
    connection = models.CharField(_("connection"), max_length=200, blank=True)
    queue = models.CharField(_("queue"), max_length=500, blank=True)
    target = models.TextField(_("target"), blank=True)
    params = models.TextField(_("parameters"), default="{}")
    reason = models.TextField(_("reason"), blank=True)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome.choices, blank=True)
    result = models.TextField(_("result"), default="{}")
    key_id = models.CharField(_("key"), max_length=64)
    previous = models.CharField(_("previous"), max_length=64, blank=True)
    mac = models.CharField(_("code"), max_length=64)

    objects = _AppendOnly.as_manager()

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["-number"]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes: ClassVar = [
            models.Index(fields=["connection", "queue", "-number"], name="queuecore_audit_queue")
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.actor} {self.action} {self.phase} {self.outcome}".rstrip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly()


class AuditHead(models.Model):
    """The one row on which writers of the audit queue up: the chain's last number and mac."""

    number = models.BigIntegerField(default=0)
    mac = models.CharField(max_length=64, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.number}:{self.mac}"


class Operation(models.Model):
    """An action on many jobs, which processes carry out bit by bit: :mod:`queuecore.operations`.

    ``query``: what is asked of the jobs beside their state, as a filter's text; ``bound``: jobs
    that arrived or ended later are not meant (ms of the server's clock). ``chunk``, ``stage`` and
    ``place`` say where to go on; ``speed``: jobs a second, as measured last. ``started_at`` is when
    it first ran; ``ran``: for how many seconds since, without the time that it was paused.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        DONE = "done", _("done")
        ABORTED = "aborted", _("aborted")
        FAILED = "failed", _("failed")

    action = models.CharField(_("action"), max_length=64)
    connection = models.CharField(_("connection"), max_length=200)
    queue = models.CharField(_("queue"), max_length=500)
    state = models.CharField(_("state"), max_length=20)
    query = models.TextField(_("filter"), blank=True)
    bound = models.BigIntegerField()
    params = models.JSONField(_("parameters"), default=dict)
    actor = models.CharField(_("who"), max_length=200)
    actor_id = models.CharField(_("user id"), max_length=64, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    record = models.CharField(max_length=32)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.WAITING, db_index=True
    )
    rate = models.PositiveIntegerField(_("most jobs a second"), null=True, blank=True)
    planned = models.BigIntegerField(_("planned"), default=0)
    done = models.BigIntegerField(_("done"), default=0)
    skipped = models.BigIntegerField(_("skipped"), default=0)
    failed = models.BigIntegerField(_("failed"), default=0)
    failures = models.JSONField(_("failures"), default=list)
    error = models.TextField(_("error"), blank=True)
    chunk = models.BigIntegerField(default=0)
    stage = models.PositiveSmallIntegerField(default=0)
    place = models.TextField(blank=True)
    speed = models.FloatField(default=0)
    ran = models.FloatField(default=0)
    created_at = models.DateTimeField(_("created"))
    started_at = models.DateTimeField(_("started"), null=True)
    updated_at = models.DateTimeField(_("updated"))
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["-pk"]
        verbose_name = _("operation")
        verbose_name_plural = _("operations")

    def __str__(self) -> str:
        return f"{self.pk} {self.action} {self.connection}/{self.queue} {self.status}"


class OutboxEntry(models.Model):
    """A job that was added in a transaction and is not in Redis yet; gone once it is.

    The relay moves those of a queue in the order of their ids. ``data`` and ``options`` are JSON as
    Redis gets it, ``timestamp`` is when the job was added (ms), ``version`` tells how to read all
    that. One with ``failed_at`` is set aside, ``error`` says why: the relay leaves it alone.
    """

    connection = models.CharField(_("connection"), max_length=200)
    queue = models.CharField(_("queue"), max_length=500)
    job_id = models.TextField(_("job id"))
    name = models.TextField(_("name"))
    data = models.TextField(_("data"))
    options = models.TextField(_("options"))
    timestamp = models.BigIntegerField(_("added"))
    version = models.PositiveSmallIntegerField(_("version"))
    created_at = models.DateTimeField(_("created"))
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    error = models.TextField(_("error"), blank=True)
    failed_at = models.DateTimeField(_("set aside"), null=True)

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["pk"]
        verbose_name = _("job in the outbox")
        verbose_name_plural = _("jobs in the outbox")
        indexes: ClassVar = [
            models.Index(fields=["connection", "queue", "id"], name="queuecore_outbox_queue")
        ]

    def __str__(self) -> str:
        return f"{self.connection}/{self.queue} {self.name} {self.job_id}"


class OutboxSource(models.Model):
    """The one row that names this outbox to Redis, whatever alias or address reaches it.

    ``relayed_at`` is when a relay last began to move rows: who cannot write that moves nothing.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    name = models.CharField(max_length=32)
    relayed_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
