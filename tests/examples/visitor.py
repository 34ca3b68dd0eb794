"""A visitor of a site's pages over HTTP: signs in by the form, opens the socket. No browser."""

import base64
import http.cookiejar
import json
import os
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

PATIENCE = 30


@dataclass
class Page:
    """An answer: status, address after all redirects, text, headers."""

    status: int
    url: str
    text: str
    headers: dict[str, str]


class Visitor:
    """One browser's cookies; *mount* is the full address of the dashboard."""

    def __init__(self, mount: str) -> None:
        self.mount = mount
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, address: str = "", data: dict[str, str] | None = None) -> Page:
        """Fetch a page under the mount (or a full address); with *data*, post a form."""
        url = urllib.parse.urljoin(self.mount, address)
        body = None if data is None else urllib.parse.urlencode(data).encode()
        headers = {} if data is None else {"Referer": self.mount}
        request = urllib.request.Request(url, body, headers)
        try:
            with self._opener.open(request, timeout=PATIENCE) as answer:
                text = answer.read().decode()
                return Page(answer.status, answer.url, text, dict(answer.headers.items()))
        except urllib.error.HTTPError as error:
            return Page(error.code, url, error.read().decode(), dict(error.headers.items()))
        except OSError:
            return Page(0, url, "", {})

    def sign_in(self, name: str, password: str) -> Page:
        """Go to the mount, fill the form in that comes, and return the page behind it."""
        page = self.get()
        assert page.url.startswith(f"{self.mount}login/"), page.url
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert token is not None, page.text
        form = {"username": name, "password": password, "csrfmiddlewaretoken": token[1]}
        return self.get(page.url, form)

    def check_files(self, page: Page) -> None:
        """Every script and style of *page* is there."""
        names = re.findall(r'(?:href|src)="([^"]+\.(?:css|js|svg)[^"]*)"', page.text)
        assert len(names) > 3, page.text
        for name in names:
            assert self.get(name).status == 200, name

    def hear(self, topic: str = "overview") -> dict[str, object]:
        """Open the page's socket, subscribe, and return the first message about *topic*."""
        page = self.get()
        address = re.search(r'data-live-socket="([^"]+)"', page.text)
        assert address is not None, "the page has no socket"
        parts = urllib.parse.urlsplit(self.mount)
        cookies = "; ".join(f"{one.name}={one.value}" for one in self.cookies)
        with socket.create_connection((parts.hostname, parts.port), PATIENCE) as sock:
            lines = [
                f"GET {address[1]} HTTP/1.1",
                f"Host: {parts.netloc}",
                f"Origin: {parts.scheme}://{parts.netloc}",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
                f"Cookie: {cookies}",
            ]
            sock.sendall("\r\n".join([*lines, "", ""]).encode())
            stream = sock.makefile("rb")
            status = stream.readline()
            assert b" 101 " in status, status
            while stream.readline().strip():
                pass
            message = json.dumps({"type": "subscribe", "topic": topic}).encode()
            mask = bytes(4)  # so that what is sent is what is meant
            sock.sendall(bytes([0x81, 0x80 | len(message)]) + mask + message)
            while True:
                kind, size = stream.read(2)
                assert kind & 0x0F != 8, "the socket was closed"
                if size == 126:
                    size = int.from_bytes(stream.read(2), "big")
                elif size == 127:
                    size = int.from_bytes(stream.read(8), "big")
                frame = stream.read(size)
                if kind & 0x0F == 1 and (told := json.loads(frame)).get("topic") == topic:
                    return dict(told)
