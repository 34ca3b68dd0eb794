"""One page of a list of jobs: what its address asks for, what was found, where it goes on.

Pages are found by place, not by number: a page begins behind the last job of the one before it, so
jobs that arrive or leave meanwhile shift nothing, in a list of any length. ``back`` in an address
holds where the pages before began. A number (``from``) is only a jump into a list without filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext as _

from queuecore import Queue, matching
from queuecore.inspect import Inspector
from queuecore.matching import Filter, InvalidFilter

from ..draw.filter_words import explained
from ..live.state import COUNTED_FROM

#: Lists that can be turned round: of jobs that have finished.
FINISHED = ("completed", "failed")
#: How long a page looks for jobs that fit its filter; what was not looked at is said, and gone on.
SECONDS = 0.2
#: How many pages one can go back by their places, and how long those may be in an address.
_TRAIL, _TRAIL_LENGTH = 20, 1_200
#: Stands for the places that had no room.
MORE = "~"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for; ``invalid`` says what is wrong with ``typed``, which is no filter.

    ``after``: the cursor behind which the page begins, ``back``: those of the pages before it, the
    first one first, :data:`MORE` before them for yet more. ``skip``: jump behind so many jobs.
    """

    filter: Filter
    oldest: bool = False
    after: str = ""
    back: tuple[str, ...] = ()
    skip: int = 0
    typed: str = ""
    invalid: str = ""

    @classmethod
    def parse(cls, state: str, query: QueryDict, *, payload: bool) -> Asked:
        """Read an address; ``payload``: whether errors may be asked for."""
        filter, typed, invalid = Filter(state), "", ""
        for written in query.getlist("q")[:50]:
            text = f"{filter} {written.strip()}".strip()
            try:
                read = Filter.parse(state, text)
            except InvalidFilter as error:
                typed, invalid = written.strip()[: matching.LENGTH], explained(error)
                continue
            if read.reveals and not payload:
                typed = written.strip()[: matching.LENGTH]
                invalid = _("Looking for errors needs queuecore.view_payload.")
            else:
                filter = read
        back = query.get("back", "")
        return cls(
            filter,
            oldest=state in FINISHED and query.get("sort") == "oldest",
            after=query.get("after", "")[:4_000],
            back=tuple(back.split(",")[-_TRAIL:]) if back else (),
            skip=_number(query.get("from", "")) if filter.everything else 0,
            typed=typed,
            invalid=invalid,
        )

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the filter."""
        return self.filter.words

    def url(self, **changes: Any) -> str:
        """The address, within the page, that asks for the same with some *changes*."""
        return _url(replace(self, **changes))

    def without(self, word: str) -> str:
        """The address of the first page without one word of the filter."""
        rest = [one for one in self.words if one != word]
        filter = Filter.parse(self.filter.state, " ".join(rest))
        return _url(Asked(filter, self.oldest))

    def also(self, word: str) -> str:
        """The address of the first page with one word more. Raises InvalidFilter."""
        filter = Filter.parse(self.filter.state, f"{self.filter} {word}")
        return _url(Asked(filter, self.oldest))

    def first(self, **changes: Any) -> str:
        """The address of the first page, with some *changes*."""
        return self.url(**{"after": "", "back": (), "skip": 0, **changes})


@dataclass(slots=True)
class Listing:
    """One page. ``passed`` of ``total`` jobs were looked at up to its end, ``looked`` for itself.

    ``newest``: the jobs that stand first in the list now, from which on others are new.
    ``estimate``: about how many fit in all, None if there is no telling; ``exact``: it is no guess.
    """

    rows: list[Any] = field(default_factory=list)
    total: int = 0
    passed: int = 0
    looked: int = 0
    orphans: int = 0
    newest: list[str] = field(default_factory=list)
    next: str = ""
    previous: str = ""
    last: str = ""
    to_first: bool = False
    estimate: int | None = None
    exact: bool = True

    @property
    def first_number(self) -> int:
        """The number of the page's first job in the list."""
        return self.passed - self.looked + 1


def listing(alias: str, queue: str, asked: Asked, limit: int) -> Listing:
    """Read the page that is *asked* for."""
    if asked.invalid:
        return Listing()
    target = Queue.existing(queue, alias)
    state, whole = asked.filter.state, asked.filter.everything
    after, found = _found(target, asked, limit)
    start = found.passed - found.looked
    page = Listing(total=found.total, passed=found.passed, looked=found.looked)
    rows = Inspector(alias).rows(queue, found.ids) if found.ids else []
    page.rows = [row for row in rows if row is not None]
    page.orphans = len(rows) - len(page.rows)
    if whole and not start and not asked.oldest:
        page.newest = [row.id for row in page.rows[:COUNTED_FROM]]
    elif found.total and state not in ("waiting", "active"):  # lists are not counted
        page.newest = list(matching.match(target, Filter(state), limit=COUNTED_FROM).ids)
    if found.cursor:
        back = (*asked.back, after) if start else ()
        page.next = asked.url(after=found.cursor, back=_trail(back), skip=0)
    if asked.back and asked.back[-1] != MORE:
        page.previous = asked.url(after=asked.back[-1], back=asked.back[:-1], skip=0)
    elif start:
        # The places of the pages before are not known any more.
        page.to_first = bool(asked.back) and not whole
        page.previous = asked.first(skip=max(0, start - limit) if whole else 0)
    if whole and found.total > found.passed and found.total > limit:
        page.last = asked.first(skip=(found.total - 1) // limit * limit)
    page.estimate, page.exact = _estimate(asked, found, start)
    return page


def _found(target: Queue, asked: Asked, limit: int) -> tuple[str, matching.Matches]:
    """The cursor from which on was looked, and what was found there."""

    def look(cursor: str) -> matching.Matches:
        return matching.match(
            target, asked.filter, cursor, limit, oldest_first=asked.oldest, seconds=SECONDS
        )

    def jump(passed: int) -> str:
        return matching.cursor_at(target, asked.filter.state, passed, oldest_first=asked.oldest)

    after = jump(asked.skip) if asked.skip else asked.after
    try:
        found = look(after)
    except ValueError:  # somebody wrote the cursor
        after, found = "", look("")
    if asked.skip and not after and found.total > limit:
        # Beyond the end is the last page.
        after = jump((found.total - 1) // limit * limit)
        found = look(after)
    # What is left may be an empty second list.
    return after, found if found.passed < found.total else replace(found, cursor="")


def _estimate(asked: Asked, found: matching.Matches, start: int) -> tuple[int | None, bool]:
    """About how many jobs fit the filter, and whether that is exact."""
    if asked.filter.everything:
        return found.total, True
    if not start and not found.cursor:
        return len(found.ids), True
    if not found.looked or not found.ids:
        return None, False
    return max(len(found.ids), round(len(found.ids) / found.looked * found.total)), False


def _trail(back: Sequence[str]) -> tuple[str, ...]:
    """The last places of *back* that an address has room for."""
    kept = [one for one in back if one != MORE]
    dropped = len(kept) < len(back)
    while len(kept) >= _TRAIL or sum(map(len, kept)) > _TRAIL_LENGTH:
        del kept[0]
        dropped = True
    return (MORE, *kept) if dropped else tuple(kept)


def _url(asked: Asked) -> str:
    pairs = [("state", asked.filter.state)]
    pairs += [("q", word) for word in asked.words]
    if asked.oldest:
        pairs.append(("sort", "oldest"))
    if asked.skip:
        pairs.append(("from", str(asked.skip)))
    if asked.after:
        pairs.append(("after", asked.after))
    if asked.back:
        pairs.append(("back", ",".join(asked.back)))
    return f"?{urlencode(pairs)}"


def _number(text: str) -> int:
    return min(int(text), 10**12) if text.isascii() and text.isdigit() and len(text) < 13 else 0
