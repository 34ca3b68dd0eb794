"""Children: the jobs that a job of a flow waits for; a part of `Job`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidOption, did_you_mean
from ..options import checked_whole
from ..wire.calls import flows
from ..wire.calls.base import Operation
from ..wire.calls.flows import Dependencies
from .snapshot import Snapshot

# One page of a parent's children: where it begins, and about how many it holds.
Page = Mapping[str, int] | bool


class Children(Snapshot):
    """Each method exists twice, ``get_dependencies`` and ``aget_dependencies``."""

    __slots__ = ()

    def get_children_values(self) -> dict[str, Any]:
        """What its completed children returned, by their keys (BullMQ ``getChildrenValues``)."""
        return self.queue._run(flows.get_children_values(self.queue.keys, self.id))

    async def aget_children_values(self) -> dict[str, Any]:
        """See :meth:`get_children_values`."""
        return await self.queue._arun(flows.get_children_values(self.queue.keys, self.id))

    def get_ignored_children_failures(self) -> dict[str, str]:
        """Why those children failed whose failure it ignored, by their keys.

        Those that were added with ``ignore_dependency_on_failure`` or
        ``continue_parent_on_failure`` (BullMQ ``getIgnoredChildrenFailures``).
        """
        return self.queue._run(flows.get_ignored_children_failures(self.queue.keys, self.id))

    async def aget_ignored_children_failures(self) -> dict[str, str]:
        """See :meth:`get_ignored_children_failures`."""
        return await self.queue._arun(flows.get_ignored_children_failures(self.queue.keys, self.id))

    def get_dependencies(
        self,
        *,
        processed: Page | None = None,
        unprocessed: Page | None = None,
        ignored: Page | None = None,
        failed: Page | None = None,
    ) -> Dependencies:
        """Its children by what became of them, all or page by page (BullMQ ``getDependencies``).

        Without arguments all are read. A page is ``True`` or ``{"cursor": 0, "count": 20}``; only
        the kinds with one are read then, and ``cursors`` of the answer says where each goes on (0:
        that was all). A page may be somewhat larger or smaller than asked for, as the server likes.
        """
        return self.queue._run(self._get_dependencies(processed, unprocessed, ignored, failed))

    async def aget_dependencies(
        self,
        *,
        processed: Page | None = None,
        unprocessed: Page | None = None,
        ignored: Page | None = None,
        failed: Page | None = None,
    ) -> Dependencies:
        """See :meth:`get_dependencies`."""
        return await self.queue._arun(
            self._get_dependencies(processed, unprocessed, ignored, failed)
        )

    def get_dependencies_count(self, *kinds: str) -> dict[str, int]:
        """How many children are processed, unprocessed, ignored, failed; none named: of each."""
        return self.queue._run(self._get_dependencies_count(kinds))

    async def aget_dependencies_count(self, *kinds: str) -> dict[str, int]:
        """See :meth:`get_dependencies_count`."""
        return await self.queue._arun(self._get_dependencies_count(kinds))

    def remove_unprocessed_children(self) -> int:
        """Delete the children it still waits for, and theirs; how many (of its own) that were.

        Those that run or have failed stand (BullMQ ``removeUnprocessedChildren``).
        """
        return self.queue._run(flows.remove_unprocessed_children(self.queue.keys, self.id))

    async def aremove_unprocessed_children(self) -> int:
        """See :meth:`remove_unprocessed_children`."""
        return await self.queue._arun(flows.remove_unprocessed_children(self.queue.keys, self.id))

    # Of a child

    def remove_child_dependency(self) -> bool:
        """Let the job's parent no longer wait for it; whether it did (``removeChildDependency``).

        Raises:
            JobNotFound, ParentNotFound
        """
        return self.queue._run(self._remove_child_dependency())

    async def aremove_child_dependency(self) -> bool:
        """See :meth:`remove_child_dependency`."""
        return await self.queue._arun(self._remove_child_dependency())

    # The operations

    def _get_dependencies(self, *pages: Page | None) -> Operation[Dependencies]:
        wanted: dict[str, tuple[int, int] | None] = {
            kind: _page(page, kind)
            for kind, page in zip(flows.KINDS, pages, strict=True)
            if page is not None and page is not False
        }
        return flows.get_dependencies(
            self.queue.keys, self.id, wanted or dict.fromkeys(flows.KINDS, None)
        )

    def _get_dependencies_count(self, kinds: Sequence[str]) -> Operation[dict[str, int]]:
        for kind in kinds:
            _checked_kind(kind)
        return flows.get_dependencies_count(self.queue.keys, self.id, kinds or [*flows.KINDS])

    def _remove_child_dependency(self) -> Operation[bool]:
        if self.parent_key is None:
            return False
        removed: bool = yield flows.remove_child_dependency(
            self.queue.keys, self.id, self.parent_key
        )
        if removed:
            for one in (b"parentKey", b"parent"):
                self._fields.pop(one, None)
        return removed


def _checked_kind(kind: str) -> str:
    """Check a kind of children: processed, unprocessed, ignored, failed."""
    if kind not in flows.KINDS:
        raise InvalidOption(
            f"children are {', '.join(flows.KINDS)}, not {kind!r}{did_you_mean(kind, flows.KINDS)}"
        )
    return kind


def _page(page: Page, kind: str) -> tuple[int, int]:
    if page is True:
        page = {}
    if not isinstance(page, Mapping) or set(page) - {"cursor", "count"}:
        raise InvalidOption(f"{kind} is True or {{'cursor': 0, 'count': 20}}, not {page!r}")
    cursor = checked_whole(page.get("cursor", 0), "cursor")
    count = checked_whole(page.get("count", 20), "count")
    if count == 0:
        raise InvalidOption("the count of a page must be at least 1")
    return cursor, count
