"""The project's settings for measuring: as in production, but for files that nobody collected."""

from config.settings import *  # noqa: F403
from config.settings import HOME, QUEUECORE

STATIC_ROOT = HOME / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Many users are made at once, and nobody types a password.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# BullMQ's own defaults: nothing may vanish while it is measured.
QUEUECORE = QUEUECORE | {"DEFAULT_JOB_OPTIONS": {}}
