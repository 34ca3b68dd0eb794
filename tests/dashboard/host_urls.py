"""Addresses of a host that mounts the dashboard deep, below the language."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path

urlpatterns = i18n_patterns(path("ops/queues/", include("dashboard.urls")))
