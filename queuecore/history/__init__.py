"""What happened in the last quarter of an hour, day and week, for charts and alerts.

``Collector`` counts every queue once a second, in one process; ``History`` is the copy that a
process reads from. ``register`` adds a function that the collector calls after each second.
"""

from .collector import Collector, ensure_running, history_of, register, stop
from .history import METRICS, History
from .record import Figures, Record

__all__ = [
    "METRICS",
    "Collector",
    "Figures",
    "History",
    "Record",
    "ensure_running",
    "history_of",
    "register",
    "stop",
]
