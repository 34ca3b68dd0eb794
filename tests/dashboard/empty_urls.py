"""The addresses of a host that has forgotten the dashboard."""

urlpatterns: list[object] = []
