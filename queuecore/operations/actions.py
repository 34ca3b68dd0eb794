"""What can be done to many jobs: retry, promote, remove, drain, clean, obliterate; and more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidOption, did_you_mean
from ..wire.calls import operating, removing, steering
from ..wire.calls.base import Call, Command, Operation
from ..wire.calls.operating import Done, Step
from ..wire.keys import Keys
from ..wire.readings import STATES

#: One step, by the parameters of its operation. To carry it out twice must do no harm.
Work = Callable[[Keys, Step, Mapping[str, Any]], Call[Done | None]]


@dataclass(frozen=True, slots=True)
class Action:
    """An action on many jobs.

    ``permissions`` are asked for beside ``bulk``. ``states``: jobs of which it can be done to.
    ``options``: its parameters and what they are where nothing is said; all know ``maximum``, the
    most jobs it is done to (0 is all). ``also``: further stages, from the state and the parameters
    (a state, or ``waiting-children/waiting`` and ``/delayed``: those of groups). ``first``
    and ``last``: what is done before the first chunk and after the last one, from the parameters
    (and the number of jobs); it may happen twice. ``batch``: jobs of one step, about a
    thousandth of a second of the server.
    """

    name: str
    permissions: tuple[str, ...]
    states: tuple[str, ...]
    work: Work
    options: Mapping[str, Any]
    also: Callable[[str, Mapping[str, Any]], tuple[str, ...]] | None = None
    first: Callable[[Keys, Mapping[str, Any]], Operation[Any] | Command[Any]] | None = None
    last: Callable[[Keys, Mapping[str, Any], int], Operation[Any] | Command[Any]] | None = None
    batch: int = 100

    def checked(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters, those that are given checked.

        Raises:
            InvalidOption: one of them is unknown, or of another type.
        """
        known = {**self.options, "maximum": 0}
        for name, value in params.items():
            if name not in known:
                raise InvalidOption(
                    f"{self.name} knows no {name!r}{did_you_mean(name, list(known))}"
                )
            if type(value) is not type(known[name]) or (name == "maximum" and value < 0):
                raise InvalidOption(f"{name} of {self.name} cannot be {value!r}")
        return known | dict(params)

    def stages(self, state: str, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The stages that are walked through, in this order."""
        further = self.also(state, params) if self.also else ()
        return (state, *(one for one in further if one != state))


ACTIONS: dict[str, Action] = {}
#: Where grouped jobs stand that would be in a state if they were not.
GROUPED = {
    "waiting": ("waiting-children/waiting",),
    "delayed": ("waiting-children/delayed",),
}


def _drop(step: Step) -> str:
    """How jobs are dropped: of those that wait for children, the ones of groups alone."""
    return "drop grouped" if step.suffix == "waiting-children" else "drop"


def register(action: Action) -> Action:
    """Let operations carry out *action*, in every process that may run them."""
    ACTIONS[action.name] = action
    return action


def known(name: str, state: str) -> Action:
    """The action *name*, which can be done to jobs of *state*.

    Raises:
        InvalidOption: there is none, or it cannot.
    """
    action = ACTIONS.get(name)
    if action is None:
        raise InvalidOption(
            f"{name!r} is no action on many jobs{did_you_mean(name, list(ACTIONS))}"
        )
    if state not in action.states:
        raise InvalidOption(
            f"{name} is done to jobs that are {' or '.join(action.states)}, not {state}"
        )
    return action


register(
    Action(
        "retry",
        ("retry",),
        ("failed", "completed"),
        lambda keys, step, params: operating.retry_chunk(keys, step, params["reset"]),
        {"reset": True},
    )
)
register(
    Action(
        "promote",
        ("promote",),
        ("delayed",),
        lambda keys, step, params: operating.promote_chunk(keys, step),
        {},
        also=lambda state, params: GROUPED[state],
    )
)
register(
    Action(
        "remove",
        ("remove",),
        STATES,
        lambda keys, step, params: operating.remove_chunk(
            keys, step, "remove" if params["children"] else "alone"
        ),
        {"children": True},
        batch=50,
    )
)
register(
    Action(
        "drain",
        ("clean_queue",),
        ("waiting",),
        lambda keys, step, params: operating.remove_chunk(keys, step, _drop(step)),
        {"delayed": False},
        also=lambda state, params: (
            "prioritized",
            *GROUPED["waiting"],
            *(("delayed", *GROUPED["delayed"]) if params["delayed"] else ()),
        ),
        batch=50,
    )
)
register(
    Action(
        "clean",
        ("clean_queue",),
        ("completed", "failed", "waiting", "prioritized", "delayed", "active"),
        lambda keys, step, params: operating.remove_chunk(keys, step, _drop(step)),
        {},
        also=lambda state, params: GROUPED.get(state, ()),
        last=lambda keys, params, done: operating.tell_cleaned(keys, done),
        batch=50,
    )
)
register(
    Action(
        "obliterate",
        ("obliterate",),
        ("waiting",),
        lambda keys, step, params: operating.remove_chunk(keys, step, "drop"),
        {"force": False},
        # Whatever is left then, and what came meanwhile, goes with the queue itself.
        also=lambda state, params: (
            *("prioritized", "delayed", "waiting-children", "completed", "failed"),
        ),
        first=lambda keys, params: steering.pause(keys),
        last=lambda keys, params, done: removing.obliterate(keys, params["force"]),
        batch=50,
    )
)
