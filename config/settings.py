"""Settings of the project; everything that differs between machines comes by the environment.

======================  ==========================================================================
DJANGO_DEBUG            1 or 0 (default 0; ``manage.py`` and ``make demo`` set 1)
DJANGO_SECRET_KEY       required without debug; else random, kept in ``.queuecore/secret_key``
QUEUECORE_URL           required without debug; else the embedded Valkey is started
DJANGO_ALLOWED_HOSTS    comma-separated; default: this machine's own names
DJANGO_TRUSTED_ORIGINS  comma-separated, with scheme: ``https://queues.example.com``
DJANGO_BEHIND_TLS       1 where a proxy ends TLS and sets X-Forwarded-Proto
DJANGO_PROXIES          how many proxies stand in front and append to X-Forwarded-For; default 0
DATABASE_URL            ``postgres://...`` or ``sqlite:///...``; default ``.queuecore/db.sqlite3``
DATABASE_CONN_MAX_AGE   seconds that a connection to Postgres is kept, for workers; default 0
QUEUECORE_HOME          where the files of this list lie; default ``.queuecore`` beside manage.py
======================  ==========================================================================
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from config import environment

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("QUEUECORE_HOME") or BASE_DIR / ".queuecore")

DEBUG = environment.flag("DJANGO_DEBUG")

if DEBUG:
    SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or environment.stored_secret(
        HOME / "secret_key"
    )
else:
    SECRET_KEY = environment.required(
        "DJANGO_SECRET_KEY", "Give it a long random text and keep it: sessions hang on it."
    )
    environment.required(
        "QUEUECORE_URL", "Give it your server's address: redis://host:6379/0 or rediss://..."
    )

ALLOWED_HOSTS = environment.words("DJANGO_ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = environment.words("DJANGO_TRUSTED_ORIGINS")

if environment.flag("DJANGO_BEHIND_TLS"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# Read by asgi.py. Too high a number lets anybody write any address into the audit.
PROXIES = environment.number("DJANGO_PROXIES")

INSTALLED_APPS = [
    # Before every app that has a `runworker` command of its own: Django takes the first.
    "queuecore",
    "dashboard",
    # Before staticfiles: it replaces `runserver` with one that speaks websocket.
    "daphne",
    "django_htmx",
    "demo.email",
    "demo.file_processing",
    "demo.notifications",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.static.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

if url := os.environ.get("DATABASE_URL"):
    # Not for the web: daphne's threads end with their requests, and would leave connections behind.
    _keep = environment.number("DATABASE_CONN_MAX_AGE")
    DATABASES = {"default": environment.database(url, _keep)}
else:
    DATABASES = {"default": environment.sqlite(environment.own_directory(HOME) / "db.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# With debug, files are served from where they lie, so that no collectstatic is needed; WhiteNoise
# wants the folder all the same.
STATIC_ROOT = environment.own_directory(HOME / "static") if DEBUG else BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
MEDIA_ROOT = HOME / "media"

# The demo's: its mail goes into files, its webhooks to a receiver that the project itself serves.
DEFAULT_FROM_EMAIL = "The shop <shop@example.com>"
if find_spec("django.core.mail.handler"):  # Django 6.1 and later
    MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "OPTIONS": {"file_path": HOME / "mail"},
        }
    }
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = HOME / "mail"
DEMO_BASE_URL = os.environ.get("DEMO_BASE_URL", "http://127.0.0.1:8000")

# A week, or the newest thousand, whichever is less: BullMQ's own default keeps every job.
_KEEP = {"count": 1000, "age": 7 * 24 * 3600}
QUEUECORE: dict[str, Any] = {
    "DEFAULT_JOB_OPTIONS": {"remove_on_complete": _KEEP, "remove_on_fail": _KEEP},
}
