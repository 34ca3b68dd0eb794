"""A payload as a tree that folds, rendered by the server from the tokens of ``jsontext``."""

from __future__ import annotations

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import jsontext
from queuecore.jsontext import Node

from .markup import element, join
from .values import exact, size, visible

_LONG = 2_000  # characters of one string in the tree; the raw view has all of it
_OPEN_DEPTH, _OPEN_ITEMS = 3, 3


def tree(text: str | None, full_size: int | None = None) -> SafeString:
    """Show JSON text as a tree; other text as it is; a note where it was cut.

    ``full_size`` is the number of bytes the value has on the server.
    """
    if text is None or text == "":
        return element("p", _("Nothing here."), class_="empty")
    root = jsontext.parse(text)
    if root is None:
        body = element("pre", visible(text), class_="plain", tabindex="0")
    else:
        body = element("div", _value(root, 0, last=True), class_="json", translate="no")
    shown = len(text.encode("utf-8", "surrogatepass"))
    note = None
    if full_size is not None and full_size > shown:
        note = element(
            "p",
            _("Cut after %(shown)s of %(size)s.") % {"shown": size(shown), "size": size(full_size)},
            class_="note",
        )
    # Nothing inside may ever become a live htmx attribute, even by a slip.
    return element("div", body, note, class_="payload", hx_disable=True)


def one_line(preview: str) -> SafeString:
    """Show the beginning of a payload as ``key value`` pairs, keys faint, for a job's row."""
    shown: list[object] = []
    for key, value in jsontext.pairs(preview):
        if shown:
            shown.append("  ")
        if key:
            shown += [element("i", visible(key)), " "]
        shown.append(visible(value))
    return join(shown)


def _value(node: Node, depth: int, *, last: bool) -> SafeString:
    comma = "" if last else ","
    name = [element("span", _quoted(node.key), class_="jk"), ": "] if node.key is not None else None
    if not node.container or (not node.children and not node.cut):
        return element("div", name, _scalar(node), comma, class_="jl")
    opening, closing = "{}" if node.kind == "object" else "[]"
    open_now = depth < _OPEN_DEPTH and (
        node.kind == "object" or (len(node.children) <= _OPEN_ITEMS and depth < _OPEN_DEPTH - 1)
    )
    inside = [
        _value(child, depth + 1, last=index == len(node.children) - 1 and not node.cut)
        for index, child in enumerate(node.children)
    ]
    if node.cut:
        inside.append(element("div", _("… not shown"), class_="jl note"))
    return element(
        "details",
        element(
            "summary",
            name,
            element("span", opening, class_="jo"),
            element("span", f"{opening} {_count(node)} {closing}", class_="jc"),
            element("span", comma, class_="jc-after"),
        ),
        element("div", inside, class_="in"),
        element("div", closing, comma, class_="jl"),
        class_="fold",
        open=depth == 0 or open_now,
    )


def _count(node: Node) -> str:
    count = len(node.children)
    if node.kind == "object":
        return ngettext("%(count)s key", "%(count)s keys", count) % {"count": count}
    return ngettext("%(count)s item", "%(count)s items", count) % {"count": count}


def _scalar(node: Node) -> SafeString:
    if node.masked and not node.container:
        return element("span", f'"{jsontext.MASK}"', class_="jm", title=_("Masked by the settings"))
    if node.kind == "string":
        text = node.text
        more = ""
        if len(text) > _LONG:
            more = _("… %(count)s more characters") % {"count": exact(len(text) - _LONG)}
            text = text[:_LONG]
        shown = element("span", _quoted(text), class_="js")
        return join([shown, element("span", more, class_="note")]) if more else shown
    if node.kind == "number":
        return element("span", visible(node.text), class_="jn")
    if node.container:
        return element("span", "{}" if node.kind == "object" else "[]")
    return element("span", visible(node.text), class_="jw")


def _quoted(text: str) -> str:
    escaped = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    )
    return f'"{visible(escaped)}"'
