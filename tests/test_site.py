"""The built site, as a reader's browser sees it: headless Chromium over every page.

Without Chromium and its driver these tests are skipped and say what to install; where ``CI`` is
true their absence is a failure.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
import yaml

from reprise import book

ROOT = book.find_root(Path(__file__).parent)
PAGES = book.toc_pages(yaml.safe_load((ROOT / "_toc.yml").read_text()))

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
    return site.build_site(root, "smoke", out=root / "_build" / "check")


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


def open_page(browser, url, theme="light", *, fresh=False):
    """Show a page in a theme, its scripts done: as it stands if it is open, unless ``fresh``."""
    shown = "return document.documentElement.dataset.theme"
    if not fresh and browser.current_url == url and browser.execute_script(shown) == theme:
        return
    for _ in range(2):  # the theme is stored for an origin, which must be open to set it
        browser.get_log("browser"), browser.get_log("performance")  # drops what came before
        browser.get(url)
        settle(browser, "document.readyState === 'complete'")
        settle(browser, "document.documentElement.dataset.theme")
        if browser.execute_script(shown) == theme:
            break
        browser.execute_script(f"localStorage.mode = localStorage.theme = '{theme}'")
    else:
        raise AssertionError(f"{url} does not take the theme {theme}")
    if browser.execute_script("return document.querySelector('.math') !== null"):
        settle(browser, "document.querySelector('mjx-container') !== null")


@pytest.mark.parametrize("name", PAGES)
def test_page_loads_without_errors_or_strangers(browser, address, name):
    open_page(browser, f"{address}/{name}.html", fresh=True)
    errors = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert not errors
    strangers = [u for u in requests_of(browser) if not u.startswith((address, "data:", "blob:"))]
    assert not strangers


def test_pages_open_from_disk(browser, site, root):
    open_page(browser, (site / "index.html").as_uri())
    settle(browser, "document.querySelector('.reprise-scoreboard') !== null")
    for chapter in book.chapters(root):
        open_page(browser, (site / f"{chapter.id}.html").as_uri())
        assert all(u.startswith(("file:", "data:", "blob:")) for u in requests_of(browser))


def test_math_is_rendered(browser, address, any_page):
    open_page(browser, f"{address}/{any_page.id}.html")
    formulas = browser.execute_script("return document.querySelectorAll('.math').length")
    settle(browser, f"document.querySelectorAll('mjx-container').length >= {formulas}")
    text = browser.execute_script("return document.querySelector('article').innerText")
    assert "\\(" not in text
    assert "\\frac" not in text
    assert browser.execute_script("return document.querySelectorAll('mjx-merror').length") == 0


def test_search_finds_a_chapter(browser, address, chapter):
    word = chapter.notebook().cells[0].source.split("#", 1)[1].split("\n")[0].strip()
    open_page(browser, f"{address}/search.html?q={word.replace(' ', '+')}")
    settle(browser, f"document.querySelector('#search-results a[href*=\"{chapter.id}\"]') !== null")


def test_scoreboard_shows_every_claim(browser, address, root):
    open_page(browser, f"{address}/intro.html")
    rows = browser.execute_script(
        "return [...document.querySelectorAll('.reprise-scoreboard tbody tr')]"
        ".map(r => ['th', '.reprise-verdict'].map(s => r.querySelector(s).innerText))"
    )
    records = running.collect(root, "smoke")
    assert rows == [[f"{r['chapter']} {r['id']}", r["verdict"]] for r in records]


def test_landing_page_lists_all_papers(browser, address):
    open_page(browser, f"{address}/intro.html")
    links = "return [...document.querySelectorAll('article a[href*=\"arxiv.org/abs\"]')].length"
    assert browser.execute_script(links) == 17


def test_landing_page_has_a_figure_for_each_chapter(browser, address, root):
    open_page(browser, f"{address}/intro.html")
    cards = browser.execute_script("return document.querySelectorAll('.reprise-card svg').length")
    assert cards == len(book.chapters(root))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_figures_stand_out_from_the_page(browser, address, any_page, theme):
    open_page(browser, f"{address}/{any_page.id}.html", theme)
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


@pytest.mark.parametrize("name", PAGES)
def test_nothing_overflows_a_phone(browser, address, name):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        open_page(browser, f"{address}/{name}.html", fresh=True)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= 390, name
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.get("about:blank")  # what its scripts measured is a phone's


def test_players_play(browser, address, chapter):
    open_page(browser, f"{address}/{chapter.id}.html")
    for player in browser.find_elements("css selector", ".reprise-player"):
        at = "return +arguments[0].querySelector('input').value"
        visible = "return [...arguments[0].querySelectorAll('.frame')].findIndex(f => !f.hidden)"
        last = int(player.find_element("css selector", "input").get_attribute("max"))
        assert last > 0
        drawn = bool(player.find_elements("css selector", ".frame"))  # else on a canvas

        def shown(player=player, drawn=drawn, at=at, visible=visible):
            value = browser.execute_script(at, player)
            assert not drawn or browser.execute_script(visible, player) == value
            return value

        assert shown() == last
        browser.execute_script("arguments[0].querySelector('button').click()", player)
        assert shown() == 0
        time.sleep(0.8)
        assert shown() > 0
        browser.execute_script(
            "const s = arguments[0].querySelector('input'); s.value = 3;"
            "s.dispatchEvent(new Event('input'))",
            player,
        )
        assert shown() == 3


def test_the_machines_card_follows_the_slider(browser, address):
    open_page(browser, f"{address}/expressivity/looped.html")
    card = browser.find_element("css selector", ".reprise-machine")
    seen = set()
    for step in (0, 1, 5):
        state = browser.execute_script(
            "const s = arguments[0].querySelector('input'); s.value = arguments[1];"
            "s.dispatchEvent(new Event('input'));"
            "return [arguments[0].querySelector('output').textContent,"
            "arguments[0].querySelector('table').innerText,"
            "arguments[0].querySelectorAll('pre .lit').length,"
            "arguments[0].querySelector('canvas').toDataURL()]",
            card,
            step,
        )
        assert state[0].startswith(f"step {step}, instruction ")
        assert state[2] == 1
        seen.add(state[3])
    assert len(seen) == 3


def test_explorers_answer(browser, address, chapter):
    open_page(browser, f"{address}/{chapter.id}.html")
    for explorer in browser.find_elements("css selector", ".reprise-explorer"):
        drawn = "return arguments[0].querySelector('svg').innerHTML"
        before = browser.execute_script(drawn, explorer)
        assert before.count("<rect") > 1
        assert not any(word in before for word in ("NaN", "Infinity", "undefined"))
        for slider in explorer.find_elements("css selector", "input"):
            for end in ("min", "max"):
                browser.execute_script(
                    f"arguments[0].value = arguments[0].{end};"
                    "arguments[0].dispatchEvent(new Event('input'))",
                    slider,
                )
                after = browser.execute_script(drawn, explorer)
                assert not any(word in after for word in ("NaN", "Infinity", "undefined"))
        assert after != before


def test_a_chapter_can_be_downloaded_and_launched(browser, address, site, chapter):
    open_page(browser, f"{address}/{chapter.id}.html")
    links = browser.execute_script("return [...document.querySelectorAll('a')].map(a => a.href)")
    assert any(link.endswith(f"_sources/{chapter.id}.ipynb") for link in links)
    assert (site / "_sources" / f"{chapter.id}.ipynb").exists()
    reference = f"tests/reference/{chapter.id}.ipynb"
    for host in ("mybinder.org", "colab.research.google.com"):
        assert any(host in link and reference in link.replace("%2F", "/") for link in links)


def test_pages_hide_progress_and_tracebacks(browser, address, any_page):
    open_page(browser, f"{address}/{any_page.id}.html")
    text = browser.execute_script("return document.querySelector('article').innerText")
    for noise in ("it/s]", "Traceback (most recent call last)", "Warning:"):
        assert noise not in text
