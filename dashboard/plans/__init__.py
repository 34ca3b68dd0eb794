"""Plans: what an action would do, counted, for the confirmation before it.

Nothing here changes anything. Pages show plans for a GET, actions for a POST without the token.
"""

from .base import back_of, mount_of, snapshot_of
from .cleaning import Cleaning, cleaning_plan
from .jobs import TICKED, many_plan, removal_plan, ticked
from .queues import pause_plan, pause_seconds, resume_plan

__all__ = [
    "TICKED",
    "Cleaning",
    "back_of",
    "cleaning_plan",
    "many_plan",
    "mount_of",
    "pause_plan",
    "pause_seconds",
    "removal_plan",
    "resume_plan",
    "snapshot_of",
    "ticked",
]
