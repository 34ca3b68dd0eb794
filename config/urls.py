"""Addresses of the project: the dashboard at the root, admin, health, the demo's receiver."""

from django.contrib import admin
from django.urls import include, path, re_path

from dashboard.pages.elsewhere import missing

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("queuecore.contrib.health")),
    path("demo/webhooks/", include("demo.notifications.urls")),
    path("", include("dashboard.urls")),
    # An address that nobody has gets the dashboard's look and asks for a login, with debug, too.
    re_path(r"^(?P<path>.*)$", missing),
]
