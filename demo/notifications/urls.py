"""Where the demo's partners take their webhooks."""

from django.urls import path

from demo.notifications import views

app_name = "notifications"
urlpatterns = [path("<slug:endpoint>/", views.receive, name="receive")]
