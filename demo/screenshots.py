"""``make screenshots``: the pictures of the README and the docs, taken of the running demo.

It starts a demo of its own (own server, own files, own port), lets it work for some minutes so that
the charts have something to show, visits each page in a headless browser, and ends everything.
The pictures go to ``docs/screenshots/``. Nothing of an existing demo is touched.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "screenshots"
FONTS = {"Inter": "fonts-inter", "JetBrains Mono": "fonts-jetbrains-mono"}
WANTED = {
    *(f"{page}-light" for page in ("sign-in", "overview", "queues", "queue", "jobs", "job")),
    *(f"{page}-dark" for page in ("overview", "job")),
    *(f"{page}-phone" for page in ("overview", "jobs")),
    "retry-dialog-light",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def main() -> int:
    """Take all pictures; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=int, default=300, help="how long the demo works first")
    options = parser.parse_args()
    bring_fonts()
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="qc-") as folder, running_demo(Path(folder)) as demo:
        print(f"The demo works for {options.seconds} s ...", flush=True)
        time.sleep(options.seconds)  # it is work that is waited for: the charts show it
        take(*demo)
    return 0


def bring_fonts() -> None:
    """The fonts the pages are made for; without them the system's own are in the pictures."""
    known = subprocess.run(["fc-list", ":", "family"], capture_output=True, text=True, check=False)
    missing = [package for family, package in FONTS.items() if family not in known.stdout]
    if missing and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "--yes", "--quiet", *missing], check=False)
    elif missing:
        print(
            f"Install {' and '.join(missing)} for pictures with the fonts the pages are made for."
        )


@contextmanager
def running_demo(folder: Path) -> Iterator[tuple[str, str, str]]:
    """A demo that is alone with its data; yields its address, user and password."""
    # The tests' choice: the newest server at hand, which names the clients of workers.
    from tests.machine import find_server

    binary = find_server()
    address = folder / "s"
    server = subprocess.Popen(
        [str(binary), "--port", "0", "--unixsocket", str(address), "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    log = folder / "log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "demo.run", *with_node()],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            env=os.environ
            | {
                "DJANGO_DEBUG": "1",
                "PORT": str(free_port()),
                "QUEUECORE_HOME": str(folder / "home"),
                "QUEUECORE_URL": f"unix://{address}",
                "PYTHONUNBUFFERED": "1",
            },
        )
    try:
        yield until_it_is_there(demo, log)
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(60)
        server.terminate()
        server.wait(20)


def with_node() -> list[str]:
    """Node beside Python, where this machine has it and its packages are there."""
    ready = (ROOT / "demo" / "node" / "node_modules").is_dir() and shutil.which("node")
    return ["--node"] if ready else []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_it_is_there(demo: subprocess.Popen[bytes], log: Path) -> tuple[str, str, str]:
    """Wait for the lines that the demo prints once it serves."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and demo.poll() is None:
        found = re.search(r"Address\s+(\S+)\s+User\s+(\S+)\s+Password\s+(\S+)", log.read_text())
        if found:
            return found[1].rstrip("/"), found[2], found[3]
        time.sleep(0.2)  # between two looks; the deadline ends it
    raise SystemExit(f"The demo did not start:\n{log.read_text()}")


def find_browser() -> str:
    chosen = os.environ.get("QUEUECORE_TEST_BROWSER")
    found = chosen or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        raise SystemExit("No Chromium was found: run `make screenshots`, which brings one.")
    return found


def take(url: str, user: str, password: str) -> None:
    """Visit the pages in both themes and on a phone."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for name, theme, width, height in (
            ("light", "light", 1440, 900),
            ("dark", "dark", 1440, 900),
            ("phone", "light", 390, 844),
        ):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=theme
            )
            page = context.new_page()
            page.goto(f"{url}/login/")
            shoot(page, f"sign-in-{name}")
            page.fill("#id_username", user)
            page.fill("#id_password", password)
            page.click("button[type=submit]")
            visit(page, url, name)
            context.close()
        browser.close()


def visit(page: Any, url: str, name: str) -> None:
    """One walk through the pages, as an operator would take it."""
    live = page.locator('[data-live-badge][data-state="live"]')
    for picture, path in {
        "overview": "/",
        "queues": "/queues/",
        "queue": "/queues/email/",
        "jobs": "/queues/notifications/jobs/?state=failed",
    }.items():
        page.goto(url + path)
        live.wait_for()
        # The first patches put times into the reader's own zone and widths where they stay.
        page.wait_for_function("!document.querySelector('time[data-time]:not([data-shown])')")
        if picture == "overview" and name != "phone":
            plot = page.locator(".plot").bounding_box()
            page.mouse.move(plot["x"] + plot["width"] * 0.6, plot["y"] + 90)
        if picture == "jobs":
            shoot(page, f"{picture}-{name}")
            boxes = page.locator("[data-tick]")
            if boxes.count() > 3:
                boxes.nth(0).click()
                boxes.nth(2).click(modifiers=["Shift"])
                page.locator(".bulk-bar [data-dialog]").first.click()
                page.locator("#dialog[open]").wait_for()
                picture = "retry-dialog"
        shoot(page, f"{picture}-{name}")
    page.goto(f"{url}/queues/notifications/jobs/?state=failed")
    page.locator("[data-open]").first.click()
    page.locator("#job-state").wait_for()
    page.wait_for_function("!document.querySelector('time[data-time]:not([data-shown])')")
    shoot(page, f"job-{name}")


def shoot(page: Any, name: str) -> None:
    """Keep what is in the window as ``docs/screenshots/<name>.png``, if the docs want it."""
    if name not in WANTED:
        return
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").save(path, optimize=True)
    print(f"  {path.relative_to(ROOT)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
