"""The ASGI application: Django, with the dashboard's live socket in front of it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_asgi_application()

# Only after Django is set up: the dashboard has models.
from django.conf import settings  # noqa: E402

from config.proxies import behind_proxies  # noqa: E402
from dashboard.asgi import live  # noqa: E402

application = behind_proxies(live(application), settings.PROXIES)
