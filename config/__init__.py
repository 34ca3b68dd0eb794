"""The project: settings, urls, asgi and wsgi of what manage.py runs."""
