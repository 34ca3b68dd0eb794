"""Only the demo's addresses, as the project mounts them."""

from django.urls import include, path

urlpatterns = [path("demo/webhooks/", include("demo.notifications.urls"))]
