"""The pages as a person uses them, in Chromium where it is installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from onecopy.agents.event import Event
from onecopy.agents.outcome import OK, Outcome
from tests.agents.server.looking import Look, looking
from tests.agents.server.test_service import end_of, put

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER) and not os.environ.get("ONECOPY_BROWSER"),
        reason="chromium and chromedriver are not installed",
    ),
    pytest.mark.timeout(300),  # browsers start slowly on a busy machine
]
FLAGS = (
    "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
    "disable-background-networking", "disable-component-update", "disable-sync",
    "disable-dev-shm-usage", "window-size=1200,900",
)  # fmt: skip
PATIENCE = 60


@pytest.fixture
def browser() -> Any:
    # A short name: it makes sockets there.
    with tempfile.TemporaryDirectory(prefix="oc-", ignore_cleanup_errors=True) as folder:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"user-data-dir={folder}/profile"):
            options.add_argument(f"--{flag}")
        environ = {**os.environ, "TMPDIR": folder, "HOME": folder}
        service = webdriver.ChromeService(executable_path=DRIVER, env=environ)
        driver = webdriver.Chrome(options=options, service=service)
        driver.set_page_load_timeout(PATIENCE)
        yield driver
        driver.quit()


def wait_until(browser: Any, holds: Callable[[], Any]) -> Any:
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    ignored = (StaleElementReferenceException,)
    return WebDriverWait(browser, PATIENCE, ignored_exceptions=ignored).until(lambda _: holds())


def text_of(browser: Any) -> str:
    return str(browser.find_element("tag name", "body").text)


def test_from_the_overview_to_a_run_and_its_event(serving: Any, browser: Any) -> None:
    async def act(look: Look) -> None:
        event = await put(look.service, "e")
        await end_of(look.service, event)
        await look.service.resources.records.flush()

        def click_through() -> None:
            browser.get(look.url)
            assert "actions" in text_of(browser)
            browser.find_element("css selector", "tbody a[href^='/runs/']").click()
            wait_until(browser, lambda: "Run " in browser.title)
            assert "thing#1" in text_of(browser)
            browser.find_element("css selector", "dd a[href^='/events/']").click()
            wait_until(browser, lambda: "Event " in browser.title)
            assert "done" in text_of(browser)
            styled = browser.find_element("css selector", ".status").value_of_css_property("color")
            assert styled not in ("rgba(0, 0, 0, 1)", "rgb(0, 0, 0)")  # the style sheet is there

        await asyncio.to_thread(click_through)

    looking(serving, act)


def test_the_log_of_a_run_grows_while_one_looks_and_ends_by_itself(
    serving: Any, browser: Any
) -> None:
    async def act(look: Look) -> None:
        records = look.service.resources.records
        event = Event("e", "actions", "cli", "asked", "s", {})
        recorder = records.begin(event, seed=b"", time_ns=0)
        recorder.log("info", "the first line")
        await records.flush()
        await asyncio.to_thread(browser.get, f"{look.url}/runs/{recorder.id}")
        recorder.log("info", "<b>a later line</b> <script>document.title = 'taken over'</script>")

        def sees(text: str) -> None:
            wait_until(browser, lambda: text in text_of(browser))

        await asyncio.to_thread(sees, "<b>a later line</b>")
        recorder.end(Outcome(OK, "the answer of the run"))
        await asyncio.to_thread(sees, "the answer of the run")
        assert "taken over" not in await asyncio.to_thread(lambda: browser.title)

    looking(serving, act)


def test_a_dead_event_is_run_again_by_a_button(serving: Any, browser: Any) -> None:
    async def act(look: Look) -> None:
        # No server takes it: of an agent that is not served.
        event = await put(look.service, "t")
        await look.service.queue.dead(event, "the test wants it")
        await end_of(look.service, event)

        def press() -> None:
            browser.get(f"{look.url}/events/{event}")
            browser.find_element("css selector", "form button").click()
            wait_until(browser, lambda: not browser.find_elements("css selector", "form button"))

        await asyncio.to_thread(press)

    looking(serving, act)
