"""The built site, as a reader's browser sees it: headless Chromium over every page.

Without Chromium and its driver these tests are skipped and say what to install; where ``CI`` is
true their absence is a failure.
"""

from __future__ import annotations

import functools
import html
import http.server
import json
import os
import re
import shutil
import threading
import time
from pathlib import Path

import pytest
import yaml
from selenium.webdriver.common.keys import Keys

from reprise import book, running
from reprise.interactive import HERE
from reprise.site import build_site

pytestmark = pytest.mark.xdist_group("pages")  # one site and one browser for all

ROOT = book.find_root(Path(__file__).parent)
PAGES = book.toc_pages(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))

INSTALL = "browser tests need Chromium and its driver: apt-get install chromium chromium-driver"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)


@pytest.fixture(scope="module")
def site(root):
    """Folder of the site built from the smoke runs; any warning of the build is an error."""
    running.run_all(book.notebooks(root), "smoke")
    return build_site(root, "smoke", out=root / "_build" / "check")


@pytest.fixture(scope="module")
def address(site):
    """The site on a local server."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium that logs its console and its requests."""
    from selenium import webdriver

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if not (program and driver):
        if os.environ.get("CI") == "true":
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


def settle(browser, script, seconds=10.0):
    """Wait until a script returns something true, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = browser.execute_script(f"return {script}")
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"never true: {script}")


def requests_of(browser):
    """Addresses that the browser asked for since the last call."""
    events = (json.loads(e["message"])["message"] for e in browser.get_log("performance"))
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [p["request"]["url"] for p in sent]


def open_page(browser, url, *, fresh=False):
    """Show a page, its scripts done: as it stands if it is open, unless ``fresh``.

    Nothing may go wrong on the way, and nothing may come from elsewhere.
    """
    if not fresh and browser.current_url == url:
        return
    browser.get_log("browser"), browser.get_log("performance")  # drops what came before
    browser.get(url)
    settle(browser, "document.readyState === 'complete'")
    settle(browser, "document.documentElement.dataset.theme")
    if browser.execute_script("return document.querySelector('.math') !== null"):
        settle(browser, "document.querySelector('mjx-container') !== null")
    assert not [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    home = "file:" if url.startswith("file:") else url[: url.index("/", len("http://"))]
    assert not [u for u in requests_of(browser) if not u.startswith((home, "data:", "blob:"))]


# --- every page: its tests follow each other, so that few pages are loaded twice ------------------


@pytest.fixture(scope="module", params=PAGES)
def page(request, address):
    """The address of each page."""
    return f"{address}/{request.param}.html"


def test_page_loads_without_errors_or_strangers(browser, page):
    open_page(browser, page, fresh=True)


def test_math_is_rendered(browser, page):
    open_page(browser, page)
    formulas = browser.execute_script("return document.querySelectorAll('.math').length")
    settle(browser, f"document.querySelectorAll('mjx-container').length >= {formulas}")
    text = browser.execute_script("return document.querySelector('article').innerText")
    assert "\\(" not in text
    assert "\\frac" not in text
    assert browser.execute_script("return document.querySelectorAll('mjx-merror').length") == 0


def test_pages_hide_progress_and_tracebacks(browser, page):
    open_page(browser, page)
    text = browser.execute_script("return document.querySelector('article').innerText")
    for noise in ("it/s]", "Traceback (most recent call last)", "Warning:"):
        assert noise not in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_figures_stand_out_from_the_page(browser, page, theme):
    open_page(browser, page)
    browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
    low = browser.execute_script(
        """
        const lum = c => {
          const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
          const [r, g, b] = c.map(v => linear(v / 255));
          return .2126 * r + .7152 * g + .0722 * b;
        };
        const rgb = s => (s.match(/[\\d.]+/g) || []).map(Number);
        const ground = e => {
          for (; e; e = e.parentElement) {
            const c = rgb(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] > .5) return c.slice(0, 3);
          }
          return [255, 255, 255];
        };
        const bad = [];
        for (const e of document.querySelectorAll(
            '.reprise-figure svg, .reprise-figure figcaption, .reprise-claim p, ' +
            '.reprise-claim td, .reprise-ledger td, .reprise-verdict')) {
          const a = lum(rgb(getComputedStyle(e).color).slice(0, 3)), b = lum(ground(e));
          const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
          if (ratio < 4.5) bad.push([e.tagName, e.className.baseVal ?? e.className, ratio]);
        }
        return bad;
        """
    )
    assert not low


def test_every_slider_and_button_changes_what_a_widget_says(browser, page):
    open_page(browser, page)
    for widget in browser.find_elements("css selector", ".reprise-widget"):
        words = widget.find_element("css selector", ".words")

        def state(widget=widget, words=words):
            """What is said and drawn, which must make sense."""
            shown = browser.execute_script(
                "const w = arguments[0], c = w.querySelector('canvas');"
                "return c ? c.toDataURL() : w.querySelector('.stage').innerHTML",
                widget,
            )
            for text in (words.text, shown):
                assert not any(word in text for word in ("NaN", "Infinity", "undefined"))
            assert words.text
            return words.text, shown

        for button in widget.find_elements("css selector", "button"):
            before = state()
            button.send_keys(Keys.ENTER)  # from the end it starts anew
            assert state() != before
            seen = state()
            settled(lambda: state() != seen)  # noqa: B023 (called at once)
            button.send_keys(Keys.ENTER)
            assert words.get_attribute("aria-live") == "polite"
        for slider in widget.find_elements("css selector", "input"):
            slider.send_keys(Keys.HOME)
            first = state()
            slider.send_keys(Keys.END)
            last = state()
            assert first[1] != last[1]
            assert first[0] != last[0]
            slider.send_keys(Keys.ARROW_LEFT)
            assert state()[1] != last[1] or slider.get_attribute("step") < "1"


def settled(holds, seconds=5.0):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_nothing_overflows_a_phone(browser, page):
    open_page(browser, page)
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        settle(browser, "window.innerWidth <= 390 || document.documentElement.scrollWidth > 390")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# --- the site ------------------------------------------------------------------------------------


def test_pages_open_from_disk(browser, site, root):
    open_page(browser, (site / "index.html").as_uri())
    settle(browser, "document.querySelector('.reprise-board') !== null")
    parts = {chapter.id.split("/")[0]: chapter for chapter in book.chapters(root)}
    for chapter in parts.values():
        open_page(browser, (site / f"{chapter.id}.html").as_uri())


def test_search_finds_a_chapter(browser, address, chapter):
    word = chapter.notebook().cells[0].source.split("#", 1)[1].split("\n")[0].strip()
    open_page(browser, f"{address}/search.html?q={word.replace(' ', '+')}")
    settle(browser, f"document.querySelector('#search-results a[href*=\"{chapter.id}\"]') !== null")


def test_the_board_shows_every_claim(browser, address, root):
    open_page(browser, f"{address}/intro.html")
    rows = browser.execute_script(
        "return [...document.querySelectorAll('.reprise-board tbody tr')].map(r => ["
        "r.querySelector('th a').getAttribute('href'), r.querySelector('th').textContent,"
        "r.querySelector('.reprise-verdict').textContent])"
    )
    records = running.collect(root, "smoke")
    wanted = [[f"{r['chapter']}.html#the-ledger", r["id"], r["verdict"]] for r in records]
    assert sorted(rows) == sorted(wanted)
    assert browser.execute_script(
        "return document.querySelectorAll('.reprise-mark').length"
    ) == len(records)


def test_landing_page_lists_all_papers(browser, address):
    open_page(browser, f"{address}/intro.html")
    rows = "return document.querySelectorAll('.reprise-board details').length"
    links = "return document.querySelectorAll('.reprise-board a[href*=\"arxiv.org/abs\"]').length"
    assert browser.execute_script(rows) == browser.execute_script(links) == 17


def test_a_row_of_the_board_opens_by_keyboard(browser, address):
    open_page(browser, f"{address}/intro.html", fresh=True)
    row = browser.find_element("css selector", ".reprise-board details")
    assert row.get_attribute("open") is None
    row.find_element("css selector", "summary").send_keys(Keys.ENTER)
    assert row.get_attribute("open") is not None
    assert row.find_element("css selector", "tbody tr").is_displayed()


@pytest.mark.parametrize("name", ["verdict", "part", "profile"])
def test_the_board_is_filtered(browser, address, root, name):
    open_page(browser, f"{address}/intro.html", fresh=True)
    records = running.collect(root, "smoke")
    select = browser.find_element("css selector", f".reprise-board select[name={name}]")
    output = browser.find_element("css selector", ".reprise-board output")
    assert output.text == f"{len(records)} claims"
    for option in select.find_elements("css selector", "option")[1:]:
        option.click()
        field = "chapter" if name == "part" else name
        wanted = [r for r in records if r[field].split("/")[0] == option.text]
        assert output.text == f"{len(wanted)} claims"
        shown = "return [...document.querySelectorAll('.reprise-mark')]"
        shown += ".filter(mark => mark.checkVisibility()).length"
        assert browser.execute_script(shown) == len(wanted)


def test_the_site_is_small(site, root):
    """20 MB in all, 1.5 MB a page, and no second copy of what a page already shows."""
    sizes = {path: path.stat().st_size for path in site.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 20e6
    pages = {path: size for path, size in sizes.items() if path.suffix in (".html", ".ipynb")}
    assert {path: size for path, size in pages.items() if size > 1.5e6} == {}


def test_landing_page_has_a_figure_for_each_chapter(browser, address, root):
    open_page(browser, f"{address}/intro.html")
    cards = browser.execute_script("return document.querySelectorAll('.reprise-card svg').length")
    assert cards == len(book.chapters(root))


def test_every_widget_of_the_package_is_on_a_page(site):
    """A script that no page uses would never meet the browser."""
    pages = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.html"))
    scripts = {path.stem for path in HERE.glob("*.js")} - {"widget"}
    assert {name for name in scripts if f"reprise-{name}" in pages} == scripts


def test_the_machines_card_lights_one_line_a_step(browser, address):
    open_page(browser, f"{address}/expressivity/looped.html")
    card = browser.find_element("css selector", ".reprise-machine")
    slider = card.find_element("css selector", "input")
    slider.send_keys(Keys.HOME)
    for step in range(3):
        assert card.find_element("css selector", ".words").text.startswith(f"step {step}, ")
        assert len(card.find_elements("css selector", "pre .lit")) == 1
        slider.send_keys(Keys.ARROW_RIGHT)


def test_a_chapter_can_be_downloaded_and_launched(site, chapter):
    text = (site / f"{chapter.id}.html").read_text(encoding="utf-8")
    links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', text)]
    assert any(link.endswith(f"_sources/{chapter.id}.ipynb") for link in links)
    assert (site / "_sources" / f"{chapter.id}.ipynb").exists()
    reference = f"tests/reference/{chapter.id}.ipynb"
    for host in ("mybinder.org", "colab.research.google.com"):
        assert any(host in link and reference in link.replace("%2F", "/") for link in links)
