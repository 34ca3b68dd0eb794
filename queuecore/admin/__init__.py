"""Django's admin: queues and jobs with their actions, what was done, and who sees what.

What is done here asks for the dashboard's permissions, keeps to the queues in somebody's scope, and
is on record as if it had been done on its pages, and in the admin's own log. Many jobs at once are
left to an operation (:mod:`queuecore.operations`). Nothing here needs the dashboard.

==============  ====================================================================================
``queues``      the list of queues, one queue, and what is done to queues
``jobs``        the jobs of one queue and state by pages, and what is done to jobs
``job_page``    one job: data, options, attempts, stack trace, the end of its log
``outbox``      jobs that were added in transactions and are not in Redis yet
``operations``  actions on many jobs: how far they are; paused, resumed, aborted
``records``     the audit record, and which queues a group sees
``asking``      the page between an action and its work; ``base``, ``rows``, ``words``: shared parts
==============  ====================================================================================
"""

from __future__ import annotations

from django.contrib import admin

from .. import models
from .jobs import JobAdmin
from .operations import OperationAdmin
from .outbox import OutboxEntryAdmin
from .queues import QueueAdmin
from .records import AuditEntryAdmin, QueueScopeAdmin

__all__ = [
    "AuditEntryAdmin",
    "JobAdmin",
    "OperationAdmin",
    "OutboxEntryAdmin",
    "QueueAdmin",
    "QueueScopeAdmin",
    "register",
]


def register(site: admin.AdminSite) -> None:
    """Register all of it with a site of the project's own."""
    for model, admins in (
        (models.Queue, QueueAdmin),
        (models.Job, JobAdmin),
        (models.OutboxEntry, OutboxEntryAdmin),
        (models.Operation, OperationAdmin),
        (models.AuditEntry, AuditEntryAdmin),
        (models.QueueScope, QueueScopeAdmin),
    ):
        site.register(model, admins)


register(admin.site)
