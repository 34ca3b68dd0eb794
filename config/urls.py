"""Addresses of the project: the dashboard (with its health) at the root, admin, demo's receiver."""

from django.contrib import admin
from django.urls import include, path, re_path

from dashboard.pages.elsewhere import missing

urlpatterns = [
    path("admin/", admin.site.urls),
    path("demo/webhooks/", include("demo.notifications.urls")),
    path("", include("dashboard.urls")),
    # An address that nobody has gets the dashboard's look and asks for a login, with debug, too.
    re_path(r"^(?P<path>.*)$", missing),
]
