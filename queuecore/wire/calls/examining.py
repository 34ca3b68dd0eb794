"""What a server says about itself; a question that is forbidden harms no other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from ..keys import Keys, connection_key
from ..readings import ServerInfo, server
from ..scripts import load, names
from .base import Call, Command, text

# Entries of the slow log, and samples of a key's content when its memory is estimated.
SLOW, SAMPLES = 20, 5
# Jobs at each end of a state whose memory stands for that of all.
JOBS = 2
WORD_LENGTH = 120

_SETTINGS = ("maxmemory", "maxclients", "save", "appendfsync", "slowlog-log-slower-than")
_CUT = re.compile(r"\.\.\. \((\d+) more bytes\)\Z")


@dataclass(frozen=True, slots=True)
class SlowCall:
    """One entry of the slow log. *script* names ours, *key* is the first key; values are left out.

    ``microseconds`` is the time on the server; ``client`` its address or name.
    """

    id: int
    at: datetime
    microseconds: int
    command: str
    script: str
    key: str
    client: str


def info() -> Command[ServerInfo | None]:
    """``INFO``; None where it is forbidden."""
    return Command(("INFO",), lambda answer: server(answer, 0.0) if answer else None, tolerant=True)


def ping() -> Command[bool]:
    """A round trip."""
    return Command(("PING",), bool, tolerant=True)


def settings() -> list[Call[Any] | Command[Any]]:
    """Some of the server's settings, each None where it is forbidden."""
    return [Command(("CONFIG", "GET", name), _setting, tolerant=True) for name in _SETTINGS]


def named_settings(answers: Sequence[str | None]) -> dict[str, str]:
    """The answers to :func:`settings` by name, without the unknown ones."""
    return {
        name: value for name, value in zip(_SETTINGS, answers, strict=True) if value is not None
    }


def slow_log() -> Command[list[SlowCall] | None]:
    """The newest entries of the slow log, newest first; None where it is forbidden."""
    return Command(
        ("SLOWLOG", "GET", SLOW),
        lambda answer: None if answer is None else [_slow(one) for one in answer],
        tolerant=True,
    )


def collector_left(prefix: str) -> Command[int | None]:
    """For how many ms somebody still collects history; None where nobody does."""
    return Command(
        ("PTTL", connection_key(prefix, "collector")),
        lambda answer: answer if isinstance(answer, int) and answer > 0 else None,
        tolerant=True,
    )


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the main keys of a queue; how many jobs a state has, and the ids of some of them.

    ``forbidden``: the server does not tell how large a key is.
    """

    bytes: int
    states: list[tuple[int, list[str]]]
    forbidden: bool


def memory_of(keys: Keys) -> list[Call[Any] | Command[Any]]:
    """What :func:`sizes` makes sense of."""
    some: list[Call[Any] | Command[Any]] = [Command(("EXISTS", keys.meta), bool)]
    some += [_memory(keys[name]) for name in MAIN]
    for name in STATES:
        count, read = ("LLEN", "LRANGE") if name in _LISTS else ("ZCARD", "ZRANGE")
        some.append(Command((count, keys[name]), _size, tolerant=True))
        some.append(Command((read, keys[name], 0, JOBS - 1), _ids, tolerant=True))
        some.append(Command((read, keys[name], -JOBS, -1), _ids, tolerant=True))
    return some


def sizes(answers: Sequence[Any]) -> Sizes:
    """The answers to :func:`memory_of`."""
    known, rest = answers[1 : 1 + len(MAIN)], answers[1 + len(MAIN) :]
    return Sizes(
        bytes=sum(size or 0 for size in known),
        states=[
            (count or 0, list(dict.fromkeys([*first, *last])))
            for count, first, last in zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        ],
        forbidden=bool(answers[0]) and known[MAIN.index("meta")] is None,
    )


def memory_of_jobs(keys: Keys, ids: Sequence[str]) -> list[Call[Any] | Command[Any]]:
    """Bytes of the hashes and logs of these jobs."""
    # Of a few fields of very different size, samples would tell nothing.
    return [
        one
        for job_id in ids
        for one in (_memory(keys.job(job_id), samples=0), _memory(keys.logs(job_id)))
    ]


STATES = (
    "wait",
    "paused",
    "active",
    "prioritized",
    "delayed",
    "waiting-children",
    "completed",
    "failed",
)
MAIN = (*STATES, "events", "meta", "repeat", "metrics:completed:data", "metrics:failed:data")
_LISTS = ("wait", "paused", "active")


def _memory(key: str, samples: int = SAMPLES) -> Command[int | None]:
    return Command(("MEMORY", "USAGE", key, "SAMPLES", samples), _size, tolerant=True)


def _size(answer: Any) -> int | None:
    return answer if isinstance(answer, int) else None


def _ids(answer: Any) -> list[str]:
    return [text(one) for one in answer or ()]


def _setting(answer: Any) -> str | None:
    if isinstance(answer, Mapping):
        answer = [part for pair in answer.items() for part in pair]
    return text(answer[1]) if isinstance(answer, list) and len(answer) == 2 else None


def _slow(entry: Sequence[Any]) -> SlowCall:
    words = [text(word) for word in entry[3]] or ["?"]
    command = words[0].upper()
    script, key = "", ""
    if command in ("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL") and len(words) > 1:
        script = _script(command, words[1])
        key = words[3] if len(words) > 3 and words[2] not in ("", "0") else ""
    elif command in ("CONFIG", "CLIENT", "INFO", "AUTH", "HELLO", "ACL"):
        key = ""  # what follows is no key, and may be a secret
    elif command in ("SCAN", "KEYS", "MEMORY", "XREAD", "XREADGROUP", "SLOWLOG", "COMMAND"):
        key = ""
    elif len(words) > 1:
        key = words[1]
    client = text(entry[5] or entry[4]) if len(entry) > 5 else ""
    return SlowCall(
        id=int(entry[0]),
        at=datetime.fromtimestamp(int(entry[1]), UTC),
        microseconds=int(entry[2]),
        command=command[:WORD_LENGTH],
        script=script,
        key=key if len(key) <= WORD_LENGTH else key[: WORD_LENGTH - 1] + "…",
        client=client[:WORD_LENGTH],
    )


def _script(command: str, word: str) -> str:
    """The name of the script: ours by digest or text, BullMQ's by its first comment."""
    if command.startswith("EVALSHA"):
        return _by_digest().get(word.lower(), word[:12])
    if command == "FCALL":
        return word[:WORD_LENGTH]
    cut = _CUT.search(word)
    begin = word[: cut.start()] if cut else word
    length = len(begin.encode()) + (int(cut[1]) if cut else 0)
    for name in names():
        source = load(name).source
        if len(source) == length and source.startswith(begin.encode()):
            return name
    line = next((one.strip(" -[]") for one in begin.splitlines() if one.strip(" -[]")), "")
    return line[:WORD_LENGTH]


@cache
def _by_digest() -> dict[str, str]:
    return {load(name).sha: name for name in names()}
