"""Working with the dashboard: signing in, acting, dialogs, ticking, the keyboard."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import JobSpec, Queue
from tests.browser.conftest import Visitor
from tests.browser.remote import expect


def test_signing_in_and_out(
    visit: Callable[..., Visitor], ada: Callable[..., Visitor], emails: Queue
) -> None:
    visitor = visit()
    page = visitor.go("/queues/emails/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("correct username")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{visitor.url}/queues/emails/")
    expect(page.get_by_role("heading", name="emails")).to_be_visible()
    page.locator(".bar details.menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to QueueCore")).to_be_visible()


def test_a_session_that_ended_leads_to_the_login_page(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    visitor = ada()
    page = visitor.go("/")
    visitor.context.clear_cookies()
    visitor.expected = ("401", "4401", "WebSocket")
    page.get_by_role("link", name="Queues").first.click()
    expect(page.get_by_role("heading", name="Sign in to QueueCore")).to_be_visible()


def test_moving_about_keeps_the_document(ada: Callable[..., Visitor], emails: Queue) -> None:
    visitor = ada()
    visitor.go_until("/queues/", "emails")
    page = visitor.go("/")
    page.evaluate("document.body.dataset.mark = 'same'")
    page.get_by_role("link", name="Queues").first.click()
    expect(page).to_have_title(re.compile("Queues"))
    page.get_by_role("link", name="emails", exact=True).first.click()
    expect(page.get_by_role("heading", name="emails")).to_be_visible()
    page.get_by_role("link", name="Failed").first.click()
    expect(page).to_have_url(re.compile("state=failed"))
    page.get_by_role("link", name="welcome").click()
    expect(page.locator("#job-state")).to_contain_text("Failed")
    assert page.evaluate("document.body.dataset.mark") == "same"
    assert page.locator(".rail [aria-current]").inner_text().startswith("Queues")
    page.go_back()
    expect(page).to_have_url(re.compile("state=failed"))
    expect(page.locator("tr[data-row]")).to_have_count(1)


def test_what_is_muted_folds_on_other_screens_and_a_queue_that_is_gone_says_so(
    ada: Callable[..., Visitor], redis_client: redis.Redis
) -> None:
    # Of its own: what other tests did to theirs is still in the history of the web process.
    calls, line = Queue("calls"), "Paused, 2 jobs wait"
    calls.add_bulk([JobSpec("ring"), JobSpec("ring")])
    calls.pause()
    visitor = ada()
    other = visitor.context.new_page()
    other.goto(f"{visitor.url}/")
    expect(other.locator("#attention")).to_contain_text(line)
    page = visitor.go("/")
    page.get_by_role("link", name="Mute this line of calls").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("How long").select_option("until it ends")
    dialog.get_by_role("button", name="Mute it").click()
    for screen in (page, other):
        expect(screen.locator("#attention")).not_to_contain_text(line)
        expect(screen.locator("#muted-count")).to_have_text("1 muted")
    other.locator(".muted-fold summary").click()
    other.get_by_role("link", name="Unmute").click()
    other.get_by_role("dialog").get_by_role("button", name="Unmute it").click()
    expect(other.locator("#attention")).to_contain_text(line)

    page = visitor.go("/queues/calls/")
    redis_client.flushdb()
    expect(page.locator("#queue-gone")).to_contain_text("This queue is gone")
    expect(page.get_by_label("Jobs by state")).to_be_hidden()


def test_pausing_by_a_dialog(ada: Callable[..., Visitor], emails: Queue) -> None:
    page = ada().go("/queues/emails/")
    opener = page.get_by_role("link", name="Pause…")
    opener.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    assert not emails.is_paused()
    opener.click()
    dialog.get_by_label("Reason").fill("relay is down")
    dialog.get_by_role("button", name="Pause queue").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Paused emails.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert emails.is_paused()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Resumed emails.")
    assert not emails.is_paused()

    # From the list of queues, by keyboard, on the narrowest phone.
    page.set_viewport_size({"width": 320, "height": 720})
    page.goto(page.url.replace("/queues/emails/", "/queues/?q=emails"))
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-tick]")).to_be_checked()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Pause 1 queue").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Paused 1 queue")
    assert emails.is_paused()


def test_cleaning_counts_again_for_another_choice(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    page = ada().go("/queues/emails/")
    page.get_by_role("link", name="Clean by state and age…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Remove 1 job")).to_be_enabled()
    dialog.get_by_label("Older than").select_option(label="1 day")
    expect(dialog.get_by_role("button", name="Remove 0 jobs")).to_be_disabled()
    dialog.get_by_label("Older than").select_option(label="any age")
    expect(dialog.get_by_role("button", name="Remove 1 job")).to_be_enabled()
    dialog.get_by_label("State").select_option(label="Failed")
    dialog.get_by_role("button", name="Remove 1 job").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Removed 1 job.")
    assert emails.get_job("failed-1") is None
    assert emails.get_job("completed-1") is not None


def test_the_search_box_leads_to_queues_and_jobs(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    visitor = ada()
    visitor.go_until("/queues/", "emails")
    page = visitor.go("/")
    for text, address in {
        "emails": "/queues/emails/",
        "failed-1": "/queues/emails/jobs/failed-1/",
        "nothing": "/queues/?q=nothing",
    }.items():
        page.keyboard.press("/")
        expect(page.locator("#find")).to_be_focused()
        page.locator("#find").fill(text)
        page.keyboard.press("Enter")
        expect(page).to_have_url(visitor.url + address)


def test_the_palette_leads_anywhere(ada: Callable[..., Visitor], emails: Queue) -> None:
    visitor = ada()
    visitor.go_until("/queues/", "emails")
    page = visitor.go("/queues/emails/")
    page.keyboard.press("Control+k")
    field = page.locator("#palette-text")
    expect(field).to_be_focused()
    options = page.locator("#palette-hits [role=option]")
    page.keyboard.type("failed-1")
    expect(options).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{visitor.url}/queues/emails/jobs/failed-1/")
    expect(page.locator("#palette")).not_to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("pau")
    expect(options.first).to_contain_text("Pause")
    page.keyboard.press("Enter")
    expect(page.locator("#dialog")).to_contain_text("Pause emails")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("zebra")
    expect(page.locator("#palette-hits")).to_contain_text("Nothing is called zebra")
    page.keyboard.press("Escape")
    # What the page itself offers, and where one was before.
    page.keyboard.press("Control+k")
    expect(page.locator("#palette-hits")).to_contain_text("Where you have been")
    expect(options.first).to_contain_text("emails")
    page.keyboard.type("dupl")
    expect(options).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#dialog")).to_contain_text("Duplicate")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page).to_have_url(f"{visitor.url}/queues/")


def test_times_are_shown_as_chosen(ada: Callable[..., Visitor], emails: Queue) -> None:
    page = ada(timezone_id="Asia/Tokyo").go("/queues/emails/jobs/failed-1/")
    clock = page.locator('time[data-time="date"]').first
    here = clock.inner_text()
    choose = page.locator(".bar details.menu")
    for zone in ("UTC", "Ago"):
        choose.locator("summary").click()
        choose.get_by_role("button", name=zone).click()
        expect(clock).not_to_have_text(here)
        # At once; the page that was asked for comes later, with its menu closed.
        expect(choose.get_by_role("button", name=zone)).to_be_hidden()
        here = clock.inner_text()
    expect(clock).to_contain_text(re.compile("ago|now"))


def test_the_five_tasks_by_keyboard_alone(ada: Callable[..., Visitor], many: Queue) -> None:
    """Find a queue, see its failed jobs, tick and remove some, open one, retry it, pause."""
    visitor = ada()
    visitor.go_until("/queues/", "emails")
    page = visitor.go("/")
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    press("g")
    press("q")
    expect(page).to_have_title(re.compile("Queues"))
    press("/")
    page.keyboard.type("emails")
    press("Enter")
    expect(page.get_by_role("heading", name="emails")).to_be_visible()
    page.get_by_role("link", name="Failed").first.focus()
    press("Enter")
    expect(page).to_have_url(re.compile("state=failed"))
    for key in ("j", "j", "x", "j", "j", "Shift+X"):
        press(key)
    expect(page.locator(".bulk-bar")).to_contain_text("3 ticked")
    page.locator(".bulk-bar").get_by_role("button", name="Remove…").focus()
    press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    press("Tab")
    press("Enter")
    expect(page.locator("[data-toast-text]")).to_have_text("Removed 3 jobs.")
    press("j")
    press("o")
    expect(page.locator("#job-state")).to_contain_text("Failed")
    press("r")
    expect(page.locator("#job-state")).to_contain_text("Waiting")
    press("3")
    expect(page).to_have_url(re.compile("tab=data"))
    assert many.get_job_counts()["failed"] == 57


def test_after_an_action_the_keyboard_goes_on_where_it_was(
    ada: Callable[..., Visitor], many: Queue
) -> None:
    page = ada().go("/queues/emails/jobs/?state=failed")
    links = page.locator("tr[data-row] th a")
    following = links.nth(3).get_attribute("href")
    page.get_by_role("button", name="Retry job").nth(2).focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-toast-text]")).to_contain_text("waits to run again")
    expect(links.nth(2)).to_be_focused()
    assert links.nth(2).get_attribute("href") == following
    page.goto(page.url.partition("/jobs/")[0] + "/")
    page.get_by_role("link", name="Pause…").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Pause queue").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-toast-text]")).to_have_text("Paused emails.")
    expect(page.get_by_role("heading", name="emails")).to_be_focused()


def test_a_page_that_one_is_led_to_has_the_focus_and_says_its_title(
    ada: Callable[..., Visitor], many: Queue
) -> None:
    page = ada(height=500).go("/queues/emails/jobs/?state=failed")
    said = page.locator("#said")
    row = page.locator("tr[data-row] th a").nth(25)
    page.keyboard.press("r")  # no row is the current one: 61 jobs are still failed below
    row.focus()
    row.press("Enter")
    expect(page.locator("#job-state")).to_contain_text("Failed")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(said).to_contain_text("emails")
    assert page.evaluate("scrollY") == 0
    # There and back: the list is where it was, and so is the focus.
    page.go_back()
    expect(row).to_be_focused()
    expect(said).to_contain_text(re.compile(r"\(61\) Failed · emails"))
    assert page.evaluate("scrollY") > 300
    page.go_forward()
    expect(page.locator("#job-state")).to_contain_text("Failed")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    # What does not come with a page is still the same one and works.
    page.keyboard.press("Control+k")
    expect(page.locator("#palette-hits li").first).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page.get_by_role("heading", level=1, name="Queues")).to_be_focused()


def test_the_number_in_the_title_and_the_rail(ada: Callable[..., Visitor], emails: Queue) -> None:
    page = ada().go("/queues/emails/jobs/?state=delayed")
    expect(page).to_have_title("[staging] (1) Delayed · emails · QueueCore")
    expect(page.locator("[data-live-badge]")).to_contain_text("Live")
    emails.add("welcome", delay=3600)
    expect(page).to_have_title("[staging] (2) Delayed · emails · QueueCore")
    expect(page.locator("#said")).to_have_text("[staging] (2) Delayed · emails · QueueCore")
    fold = page.get_by_role("button", name="Show icons only")
    fold.focus()
    page.keyboard.press("Enter")
    page.wait_for_load_state("networkidle")
    rail = page.locator(".rail")
    assert rail.bounding_box()["width"] == 56
    expect(fold).to_be_focused()
    page.reload()
    assert rail.bounding_box()["width"] == 56
    assert page.locator(".rail a").first.get_attribute("title") == "Overview"


def test_another_language_is_chosen_in_the_dialog(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    page = ada().go("/queues/emails/")
    page.locator(".bar details.menu summary").click()
    page.get_by_role("link", name="Preferences").click()
    page.get_by_label("Language").select_option("de")
    page.locator("#prefer-live").select_option("15")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page).to_have_url(re.compile("/queues/emails/$"))
    expect(page.locator("[data-live-every='15']")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("late", ["first", "last"])
def test_the_page_asked_for_last_stays(
    late: str, ada: Callable[..., Visitor], emails: Queue
) -> None:
    page = ada().go("/")
    arrived: list[str] = []

    async def hold(route: Any) -> None:
        await asyncio.sleep(1.5)
        arrived.append(route.request.url)
        await route.continue_()

    slow = "/queues/$" if late == "first" else "/queues/emails/$"
    page.route(re.compile(slow), hold)
    # Both links are clicked in one go, before either page can come.
    page.evaluate(
        """() => ["/queues/", "/queues/emails/"].forEach(
            (path) => document.querySelector(`#page a[href="${path}"]`).click())"""
    )
    heading = page.get_by_role("heading", name="emails", exact=True)
    expect(heading).to_be_visible()
    page.wait_for_timeout(2500)  # the other page would have come meanwhile
    assert len(arrived) == 1
    expect(heading).to_be_visible()
    expect(page.locator("#stage")).to_have_count(1)  # the page alone came, not a shell in the shell
    expect(page).to_have_url(re.compile("/queues/emails/$"))


def test_shortcuts_can_be_switched_off(ada: Callable[..., Visitor], emails: Queue) -> None:
    page = ada().go("/queues/")
    page.locator(".bar details.menu summary").click()
    page.get_by_role("group", name="Shortcuts").get_by_role("button", name="Off").click()
    expect(page.locator("html")).to_have_attribute("data-keys", "off")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.keyboard.press("?")
    expect(page).to_have_title(re.compile("Queues"))
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Control+k")  # no single letter
    expect(page.locator("#palette-text")).to_be_focused()


def test_letters_in_a_field_are_letters(ada: Callable[..., Visitor], emails: Queue) -> None:
    page = ada().go("/queues/")
    page.locator("#queue-filter").click()
    page.keyboard.type("gop?/x")
    expect(page.locator("#queue-filter")).to_have_value("gop?/x")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_theme_is_switched_and_kept(ada: Callable[..., Visitor], emails: Queue) -> None:
    visitor = ada(theme="light")
    page = visitor.go("/")
    dark = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(dark)
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(dark) != before
    page.wait_for_load_state("networkidle")
    page = visitor.go("/queues/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert page.evaluate(dark) == before


def test_hostile_names_and_payloads_are_texts(ada: Callable[..., Visitor], server: Any) -> None:
    evil = '<img src=x onerror="document.body.dataset.owned=1">'
    queue = Queue.existing(f"q {evil}")
    queue.add(evil, {evil: evil, "html": "<script>document.body.dataset.owned=1</script>"})
    visitor = ada()
    page = visitor.go_until("/queues/", "img src")
    page.get_by_role("link", name=re.compile("img src")).first.click()
    expect(page.get_by_role("heading", name=re.compile("img src"))).to_be_visible()
    page.get_by_role("link", name="Waiting").first.click()
    page.locator("[data-open]").first.click()
    expect(page.locator(".json")).to_contain_text("<script>")
    for tab in ("data", "options", "raw"):
        page.locator(f"#tab-{tab}").click()
        expect(page).to_have_url(re.compile(f"tab={tab}"))
    assert page.evaluate("document.body.dataset.owned") is None
    assert page.locator("main img, main script").count() == 0


@pytest.mark.parametrize("width", [390])
def test_on_a_phone(width: int, ada: Callable[..., Visitor], many: Queue) -> None:
    visitor = ada(width=width, height=844, has_touch=True)
    visitor.go_until("/queues/", "emails")
    page = visitor.go("/")
    bottom = page.locator(".bottom")
    bottom.get_by_role("link", name="Queues").click()
    # The overview has a link of that name, too.
    expect(page.get_by_role("heading", name="Queues", exact=True)).to_be_visible()
    page.get_by_role("link", name="emails", exact=True).first.click()
    expect(page.get_by_role("heading", name="emails")).to_be_visible()
    page.get_by_role("link", name="Failed").first.click()
    expect(page.locator(".tabs a").first).to_be_visible()
    page.locator("[data-tick]").first.click()
    bar = page.locator(".bulk-bar")
    expect(bar).to_be_visible()
    box, low = bar.bounding_box(), bottom.bounding_box()
    assert box["y"] + box["height"] <= low["y"]
    page.locator("a.back").click()
    expect(page.get_by_role("heading", name="emails")).to_be_visible()
