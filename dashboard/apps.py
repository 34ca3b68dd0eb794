"""The Django app. Everything global is called ``queuecore_dashboard``, whatever the folder."""

from django.apps import AppConfig
from django.core.checks import register
from django.core.signals import request_started
from django.utils.translation import gettext_lazy as _


class DashboardConfig(AppConfig):
    """QueueCore's dashboard."""

    name = __package__ or "queuecore_dashboard"
    label = "queuecore_dashboard"
    verbose_name = _("QueueCore dashboard")

    def ready(self) -> None:
        """Register the checks; collect history from the first request of any kind on."""
        from queuecore.checks import linked

        from .checks import CHECKS
        from .live.asgi import collect

        for check in CHECKS:
            register(linked(check))
        request_started.connect(collect, dispatch_uid="queuecore_dashboard.collect")
