"""What a person sees: Open WebUI, and the page of a measurement, in a real browser without a window.

`ORCHESTRATOR_SCREENSHOTS=docs/img pytest tests/integration/test_browser.py` writes the pictures that the README shows.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.bench.assessment import assess
from orchestrator.bench.report.html import page as report_page
from orchestrator.waiting import wait_until
from tests.bench.runs import closed_loop, run_of
from tests.integration.conftest import Tool

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.integration

STEP_MS = 90_000
"""The first visit loads all of Open WebUI's scripts while two cores also embed."""
NOTES_MS = 40_000
STORY = "The pear tree behind the library was planted in 1911 by the town's first librarian.\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's own Chromium: playwright brings the driver, not a browser."""
    program = shutil.which("chromium")
    if program is None:
        assert "CI" not in os.environ, "CI installs Debian's chromium"
        pytest.skip("no chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def window(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(STEP_MS)
    yield page
    page.close()


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("ORCHESTRATOR_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / name)


@pytest.mark.usefixtures("native_up")
def test_the_generated_admin_signs_in_and_finds_an_uploaded_document(tool: Tool, window: Page, tmp_path: Path) -> None:
    data = tool.json("status")["data"]
    url = data["services"]["webui"]["url"]
    keys = dict(line.split("=", 1) for line in Path(data["credentials_file"]).read_text().splitlines())
    document = tmp_path / "pear-tree.txt"
    document.write_text(STORY)

    window.goto(f"{url}/auth")
    window.fill("input[type=email]", keys["WEBUI_ADMIN_EMAIL"])
    window.fill("input[type=password]", keys["WEBUI_ADMIN_PASSWORD"])
    window.keyboard.press("Enter")
    window.wait_for_url(f"{url}/")
    dismiss_the_release_notes(window)

    window.goto(f"{url}/workspace/knowledge/create")
    window.get_by_placeholder("Name your knowledge base").fill("Town archive")
    window.get_by_placeholder("Describe your knowledge base and objectives").fill("What the town remembers")
    window.get_by_role("button", name="Create Knowledge").click()
    window.wait_for_url("**/workspace/knowledge/*-*")
    base = window.url.rpartition("/")[2]
    try:
        window.get_by_text("Select a file to preview").wait_for()
        window.locator("input[type=file]#files-input").set_input_files(document)
        window.get_by_text("pear-tree.txt").first.click()
        window.get_by_text("planted in 1911").first.wait_for()
        wait_until(lambda: None if STORY.strip() in found_by(window, base) else "not found yet", STEP_MS / 1000)
        window.get_by_text("Processing").wait_for(state="hidden")
        picture(window, "open-webui.png")
    finally:
        deleted = ask(window, "DELETE", f"/api/v1/knowledge/{base}/delete?delete_files=true")
        assert deleted is True


def dismiss_the_release_notes(window: Page) -> None:
    """They stand before everything until they are dismissed, once per account: an earlier run may have done it."""
    from playwright.sync_api import TimeoutError as NotThere

    with contextlib.suppress(NotThere):
        window.get_by_role("button", name="Okay, Let's Go!").click(timeout=NOTES_MS)


def found_by(window: Page, base: str) -> str:
    """Asked with the browser's own sign-in, as Open WebUI's chat asks before it answers."""
    body = {"collection_names": [base], "query": "Who planted the pear tree?", "k": 1}
    return str(ask(window, "POST", "/api/v1/retrieval/query/collection", body))


def ask(window: Page, method: str, path: str, body: object = None) -> object:
    script = """async ([method, path, body]) => {
        const headers = {authorization: `Bearer ${localStorage.token}`, "content-type": "application/json"};
        const answer = await fetch(path, {method, headers, body: body === null ? undefined : JSON.stringify(body)});
        return await answer.json();
    }"""
    return window.evaluate(script, [method, path, body])


def test_the_page_of_a_measurement_draws_its_plots_and_fetches_nothing(window: Page, tmp_path: Path) -> None:
    run = run_of(closed_loop(3))
    page = tmp_path / "report.html"
    page.write_text(report_page(assess(run, "bench/20261128T120000Z")), encoding="utf-8")
    fetched: list[str] = []
    errors: list[str] = []
    window.on("request", lambda request: fetched.append(request.url))
    window.on("pageerror", lambda error: errors.append(str(error)))
    window.goto(page.as_uri())
    assert fetched == [page.as_uri()]
    assert not errors
    plots = window.locator("svg")
    assert plots.count() >= 3
    for plot in plots.all():
        box = plot.bounding_box()
        assert box is not None
        assert box["width"] > 0
        assert box["height"] > 0
        assert plot.locator("path, rect, circle, polyline, line").count() > 0
    picture(window, "bench-report.png")
