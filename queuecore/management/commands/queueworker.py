"""manage.py queueworker: runworker under a name that no other package owns."""

from .runworker import Command

__all__ = ["Command"]
