"""The feed page in a real browser, over the whole stack: broker, Redis, worker, server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import Item
from freshet.core.state.client import connect
from freshet.core.state.keys import Keys as StateKeys
from freshet.embedded.broker import PARTITIONS
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items

from .tls_proxy import self_signed, tls_proxy

pytestmark = [pytest.mark.browser, pytest.mark.services]

N_ITEMS = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium."""
    if os.environ.get("FRESHET_NO_BROWSER") == "1":
        pytest.skip("THE BROWSER IS SWITCHED OFF by FRESHET_NO_BROWSER=1")
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1240,1000",
        "--ignore-certificate-errors",  # of the proxy of one test
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture
def offer(settings: Any) -> Callable[..., None]:
    """`offer("a", "b")` writes catalogue entries as the worker would."""
    keys = StateKeys(settings.namespace)

    def write(*item_ids: str) -> None:
        with connect(settings.redis_url) as client:
            for item_id in item_ids:
                entry = encode(Item(item_id=item_id, title=f"Title {item_id}"))
                client.hset(keys.catalog(partition_of(item_id, PARTITIONS)), item_id, entry)

    return write


@pytest.fixture
def url(settings: Any, worker: Any, server: Any, wait_until: Any) -> str:
    """The address of a server whose catalogue is filled."""
    items = tiny_items(N_ITEMS)
    publish_tiny_bundle(Path(settings.models_dir), items)
    worker(settings)
    address: str = server(settings).url
    with httpx.Client(base_url=address) as client:
        for item in items:
            response = client.put(f"/v1/items/{item.item_id}", json=msgspec.to_builtins(item))
            assert response.status_code == 202
        wait_until(lambda: client.get("/livez").json()["items"] == N_ITEMS)
    return address


def shown(browser: webdriver.Chrome, part: str) -> list[str]:
    """Return the words of one part of each card, without the cards that are on their way out."""
    script = f"return [...document.querySelectorAll('.card:not(.leaving) .{part}')]"
    words: list[str] = browser.execute_script(f"{script}.map((each) => each.textContent)")
    return words


def text(browser: webdriver.Chrome, element_id: str) -> str:
    return browser.find_element(By.ID, element_id).text


def press(browser: webdriver.Chrome, button: str, position: int) -> None:
    """Press a button of a card as a person with a keyboard does."""
    cards = browser.find_elements(By.CSS_SELECTOR, f".card:not(.leaving) .{button}")
    cards[position].send_keys(Keys.ENTER)


def test_a_click_reorders_the_list_under_the_eyes_of_the_person(
    browser: webdriver.Chrome, url: str, wait_until: Callable[..., None]
) -> None:
    """What was opened goes, others move up, and the page says how long it took."""
    browser.get(f"{url}/?user=ann")
    wait_until(lambda: len(shown(browser, "title")) == 20, what="a first list of 20")
    assert text(browser, "for") == "ann"
    assert text(browser, "connection") == "live"
    assert not text(browser, "lag").isdigit()

    before = shown(browser, "title")
    browser.find_elements(By.CSS_SELECTOR, ".card .open")[2].click()
    wait_until(lambda: before[2] not in shown(browser, "title"), what="the opened item is gone")
    after = shown(browser, "title")
    assert len(after) == 20
    assert after[:19] != [title for title in before if title != before[2]]
    assert int(text(browser, "lag")) < 5_000
    assert text(browser, "clicks") == "ms, of 1 click"
    assert any(before[2] in reason for reason in shown(browser, "reason"))
    assert shown(browser, "position") == [str(number) for number in range(1, 21)]

    press(browser, "hide", 1)
    wait_until(lambda: after[1] not in shown(browser, "title"), what="the hidden item is gone")
    assert text(browser, "clicks") == "ms, of 2 clicks"

    browser.find_element(By.ID, "user").clear()
    browser.find_element(By.ID, "user").send_keys("bob", Keys.ENTER)
    wait_until(lambda: text(browser, "applied") == "no events yet", what="the list of another")
    errors = [each for each in browser.get_log("browser") if each["level"] == "SEVERE"]
    assert errors == []


def test_what_was_in_view_is_counted_once(
    browser: webdriver.Chrome, url: str, wait_until: Callable[..., None]
) -> None:
    """Cards below the fold are not shown until someone scrolls to them."""
    browser.get(f"{url}/?user=carl")
    wait_until(lambda: len(shown(browser, "title")) == 20, what="a first list of 20")

    def applied() -> int:
        answer = httpx.get(f"{url}/v1/recommendations?user=carl&impressions=client").json()
        return int((answer["as_of"] or {"applied": 0})["applied"])

    wait_until(lambda: applied() > 0, what="impressions were counted")
    above_the_fold = applied()
    assert above_the_fold < 20
    browser.execute_script("scrollTo(0, document.body.scrollHeight)")
    wait_until(lambda: applied() > above_the_fold, what="more was seen")
    browser.execute_script("scrollTo(0, 0)")
    assert applied() <= 20


def test_a_lost_server_is_found_again(
    browser: webdriver.Chrome, settings: Any, server: Any, offer: Any, wait_until: Any
) -> None:
    """The page says that it is not connected, tries again by itself, and goes on."""
    offer(*[f"i{number}" for number in range(30)])
    first = server(settings)
    browser.get(f"{first.url}/?user=ann")
    wait_until(lambda: len(shown(browser, "title")) == 20, what="a first list of 20")
    first.child.kill()
    wait_until(lambda: "not connected" in text(browser, "connection"), what="the loss is said")
    assert len(shown(browser, "title")) == 20
    port = int(first.url.rpartition(":")[2])
    server(msgspec.structs.replace(settings, http_port=port))
    wait_until(lambda: text(browser, "connection") == "live", what="connected again")


@pytest.mark.parametrize("keeps_host", [True, False])
def test_the_page_works_under_a_path_behind_tls(
    browser: webdriver.Chrome, url: str, wait_until: Any, tmp_path: Path, keeps_host: bool
) -> None:
    """Its files, its lists, its clicks and, where the proxy passes on the host, its socket."""
    port = int(url.rpartition(":")[2])
    with tls_proxy(port, self_signed(tmp_path), keeps_host=keeps_host) as page:
        browser.get(f"{page}?user=ann/tls")
        wait_until(lambda: len(shown(browser, "title")) == 20, what="a first list of 20")
        assert text(browser, "for") == "ann/tls"
        if keeps_host:
            wait_until(lambda: text(browser, "connection") == "live", what="the socket")
        background = "return getComputedStyle(document.querySelector('.card')).display"
        assert browser.execute_script(background) == "grid"
        before = shown(browser, "title")
        browser.find_elements(By.CSS_SELECTOR, ".card .open")[2].click()
        wait_until(lambda: before[2] not in shown(browser, "title"), what="the opened item is gone")
        assert text(browser, "clicks") == "ms, of 1 click"
        browser.get("about:blank")
        browser.get_log("browser")


def test_odd_names_are_text_and_nothing_else(
    browser: webdriver.Chrome, settings: Any, server: Any, offer: Any, wait_until: Any
) -> None:
    """An id may look like a tag, a path or a query."""
    odd = [
        "<b>bold</b>",
        "a/b?c#d&e=f",
        '" onload="alert(1)',
        "100%25",
        "<img src=x onerror=boom()>",
    ]
    offer(*odd, *[f"i{number}" for number in range(30)])
    address = server(settings).url
    user = "<i>ann</i>/& ?#%"
    browser.get(f"{address}/?user={quote(user)}")
    wait_until(lambda: len(shown(browser, "title")) == 20, what="a first list of 20")
    assert text(browser, "for") == user
    script = "return document.querySelectorAll('#feed b, #feed img, #feed [onload], #for i').length"
    assert browser.execute_script(script) == 0
    errors = [each for each in browser.get_log("browser") if each["level"] == "SEVERE"]
    assert errors == []
