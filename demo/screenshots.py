"""``make screenshots``: the pictures of the README and the docs, of a company's evening.

It sets up an evening of its own (:mod:`demo.evening`: own server, own files, own port), lets it
work for some minutes, gives an operator something to do (a pause, operations), visits each page in
a headless browser, and ends everything. The pictures go to
``docs/screenshots/<page>-<light|dark>[-phone].png``, and what else lies there is removed. Nothing
of an existing demo is touched.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from demo.evening.scene import PASSWORD, USER

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "screenshots"
FONTS = {"Inter": "fonts-inter", "JetBrains Mono": "fonts-jetbrains-mono"}
THEMES = ("light", "dark")
#: What stands behind the theme in a picture's name, and the window.
WINDOWS = {"": (1440, 900), "-phone": (390, 844)}
#: Of a picture's palette so many colours are its most frequent ones, exactly; the rest is shared
#: out among all others, however rare: a small icon's colour counts as much as a wide area's.
EXACT, SHARED = 150, 106
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
#: The company's hosts, and the queues that the workers of each serve, one of them as a fleet.
HOSTS = {
    "worker-fra-1": ("emails", "webhooks", "orders", "--processes", "2"),
    "worker-fra-2": ("payments", "emails", "housekeeping"),
    "worker-fra-3": ("images.thumbnails", "exports"),
}
FAILED = "/queues/webhooks/jobs/?state=failed"
RUNNING = "/queues/exports/jobs/?state=active"


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo.screenshots", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=150, help="how long the evening works first")
    options = parser.parse_args()
    bring_fonts()
    find_browser()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="qc-") as folder, evening(Path(folder)) as demo:
        url, command = demo
        print(f"The evening works for {options.seconds} s ...", flush=True)
        time.sleep(options.seconds)  # it is work that is waited for: the pages show it
        made = take(url, command)
    for picture in PICTURES.glob("*.png"):
        if picture.stem not in made:
            picture.unlink()
    size = sum(picture.stat().st_size for picture in PICTURES.glob("*.png"))
    print(f"{len(made)} pictures, {size / 1_000_000:.1f} MB", flush=True)
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
def evening(folder: Path) -> Iterator[tuple[str, Any]]:
    """The evening, alone with its data; yields its address and what runs a command of its scene."""
    # The tests' choice: the newest server at hand, which names the clients of workers.
    from tests.machine import find_server

    address, port = folder / "s", free_port()
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "demo.evening.settings",
        "DJANGO_DEBUG": "1",
        "QUEUECORE_HOME": str(folder / "home"),
        "QUEUECORE_URL": f"unix://{address}",
        "PYTHONUNBUFFERED": "1",
    }
    (folder / "home").mkdir(mode=0o700)
    running: list[subprocess.Popen[bytes]] = []
    log = (folder / "log").open("wb")

    def start(*command: str, **more: str) -> None:
        running.append(
            subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment | more)
        )

    def scene(what: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "demo.evening.scene", what],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env=environment,
        )
        if done.returncode:
            raise SystemExit(f"The evening failed:\n{(folder / 'log').read_text()}")

    try:
        options = ("--port", "0", "--unixsocket", str(address), "--save", "", "--dir", str(folder))
        start(str(find_server()), *options, "--maxmemory-policy", "noeviction")
        until(address.exists)
        scene("plant")
        web = ("-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "config.asgi:application")
        start(sys.executable, *web)
        for host, queues in HOSTS.items():
            start(sys.executable, "manage.py", "runworker", *queues, EVENING_HOST=host)
        if (ROOT / "demo" / "node" / "node_modules").is_dir() and (node := shutil.which("node")):
            start(node, str(ROOT / "demo" / "node" / "evening.mjs"))
        start(sys.executable, "-m", "demo.evening.scene", "stream")
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{url}/login/"))
        yield url, scene
    finally:
        for process in reversed(running):
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()


def until(what: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit("The evening did not start in time.")
        time.sleep(0.1)  # between two looks; the deadline ends it


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_browser() -> str:
    chosen = os.environ.get("QUEUECORE_TEST_BROWSER")
    found = chosen or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        raise SystemExit("No Chromium was found: run `make screenshots`, which brings one.")
    return found


def take(url: str, scene: Any) -> set[str]:
    """Do what an operator would have done, then visit all pages in each theme and window."""
    from playwright.sync_api import sync_playwright

    made: set[str] = set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = signed_in(browser, url, "light", "", made)
        operate(page, url)
        page.context.close()
        for theme in THEMES:
            for window in WINDOWS:
                scene("order")
                page = signed_in(browser, url, theme, window, made)
                visit(page, url, f"{theme}{window}", made)
                page.context.close()
        browser.close()
    return made


def signed_in(browser: Any, url: str, theme: str, window: str, made: set[str]) -> Any:
    """A page of somebody who is signed in; the sign-in itself is a picture, too."""
    width, height = WINDOWS[window]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,
        has_touch=bool(window),
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(f"{url}/login/")
    shoot(page, f"sign-in-{theme}{window}", made)
    page.fill("#id_username", USER)
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
    page.locator("#page").wait_for()
    return page


def operate(page: Any, url: str) -> None:
    """Pause a queue and a scheduler, with the reasons why."""
    confirm(page, f"{url}/queues/sms/confirm/pause/", "The carrier works on its gateway until ten")
    settle = f"{url}/schedulers/housekeeping/rotate-keys/confirm/pause/"
    confirm(page, settle, "The vault moves on Sunday")
    page.goto(f"{url}{FAILED}")
    job = page.locator("[data-open]").last.get_attribute("href")
    confirm(page, f"{url}{job}confirm/remove/", "")


def confirm(page: Any, path: str, reason: str) -> None:
    """Say yes on the page that asks."""
    page.goto(path)
    if reason:
        page.get_by_label("Reason").fill(reason)
    page.locator('#confirm-form button[type="submit"]').last.click()
    page.locator("[data-toast-text]").wait_for()


def visit(page: Any, url: str, name: str, made: set[str]) -> None:
    """One walk through the pages, as an operator would take it."""
    for picture, path in {
        "overview": "/",
        "queues": "/queues/",
        "queue": "/queues/webhooks/",
        "jobs": FAILED,
        "schedulers": "/schedulers/",
        "scheduler": "/schedulers/housekeeping/expire-carts/",
        "workers": "/workers/",
        "operations": "/operations/",
        "system": "/system/",
        "audit": "/audit/",
    }.items():
        settle(page, url + path)
        if picture == "overview" and not name.endswith("-phone"):
            plot = page.locator(".plot").bounding_box()
            page.mouse.move(plot["x"] + plot["width"] * 0.6, plot["y"] + 90)
        shoot(page, f"{picture}-{name}", made)
        page.mouse.move(0, 0)
    settle(page, url + FAILED)
    boxes = page.locator("[data-tick]")
    boxes.nth(0).click()
    boxes.nth(2).click(modifiers=["Shift"])
    page.locator(".bulk-bar [data-dialog]:visible").first.click()
    page.locator("#dialog[open]").wait_for()
    shoot(page, f"retry-dialog-{name}", made)
    settle(page, url + RUNNING)
    page.locator("tr[data-row] [data-open]").first.click()
    page.locator("#cancel:visible").click()
    page.locator("#dialog[open]").wait_for()
    shoot(page, f"cancel-dialog-{name}", made)
    settle(page, f"{url}/queues/webhooks/")
    page.keyboard.press("Control+k")
    page.keyboard.type("web")
    page.locator("#palette-hits a").first.wait_for()
    shoot(page, f"palette-{name}", made)
    for picture, path, tab in (
        ("operation", "/operations/", ""),
        ("worker", "/workers/", ""),
        ("job", f"{FAILED}&q=name:refund.*", ""),
        ("flow", "/queues/orders/jobs/?state=waiting-children", "?tab=flow"),
    ):
        settle(page, url + path)
        target = page.locator("tr[data-row] th a").first.get_attribute("href")
        settle(page, url + target + tab)
        shoot(page, f"{picture}-{name}", made)


def settle(page: Any, address: str) -> None:
    """Open *address* and wait until it is live and its times stand in the reader's own zone."""
    page.goto(address)
    page.locator('[data-live-badge][data-state="live"]').wait_for(state="attached")
    page.wait_for_function("!document.querySelector('time[data-time]:not([data-shown])')")
    page.wait_for_timeout(1_500)  # the first patches have come: bars have their widths


def shoot(page: Any, name: str, made: set[str]) -> None:
    """Keep what is in the window as ``docs/screenshots/<name>.png``, in a palette of its own."""
    if name in made:
        return
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as picture:
        few(picture.convert("RGB")).save(path, optimize=True)
    made.add(name)
    print(f"  {path.relative_to(ROOT)} {path.stat().st_size // 1000} KB", flush=True)


def few(picture: Image.Image) -> Image.Image:
    """The picture in 256 colours of its own: a third of the size, and no difference to be seen."""
    counted = picture.getcolors(picture.width * picture.height) or []
    # A vivid colour is what tells a state: it counts more than its area.
    counted.sort(key=lambda found: -found[0] * (1 + max(found[1]) - min(found[1])))
    colours = [colour for _count, colour in counted]
    palette = [part for colour in colours[:EXACT] for part in colour]
    if rest := colours[EXACT:]:
        others = Image.new("RGB", (len(rest), 1))
        others.putdata(rest)
        shared = others.quantize(SHARED, method=Image.Quantize.MEDIANCUT).getpalette() or []
        palette += shared[: 3 * SHARED]
    known = Image.new("P", (1, 1))
    known.putpalette(palette)
    return picture.quantize(palette=known, dither=Image.Dither.NONE)


if __name__ == "__main__":
    sys.exit(main())
