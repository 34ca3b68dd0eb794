"""The host's one line of ASGI: ``application = live(application)``."""

from .live.asgi import live

__all__ = ["live"]
