"""A day's work in a real browser, with JavaScript and without, by mouse and by keyboard."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from dev.browser import Browser
from policy_store.changes.selection import Selection, read_conditions
from policy_store.web.export import write_pages
from tests.web.conftest import Office

_PAGES = (
    "/",
    "/domains",
    "/domains?q=nothing-like-this",
    "/domains/adatum.example",
    "/domains/humongousinsurance.example",
    "/domains/tailspintoys.example",
    "/domains/adatum.example/edit",
    "/add",
    "/edit?domain=contoso.example&domain=adatum.example",
    "/plan",
    "/history",
    "/reports",
    "/import",
    "/audit",
    "/domains?where=nonsense",
    "/nothing",
)


def test_a_domain_is_added(browser: Browser, address: str, office: Office) -> None:
    browser.open(f"{address}/domains")
    browser.press("Add a domain")
    browser.fill("domain", "graphicdesign.example")
    browser.press("Take them from the MX records")
    browser.until(lambda: browser.value("mx") == "contoso-example.mail.protection.outlook.com")
    browser.press("Show what it does")
    browser.wait_for("This changes 1 domain")
    browser.press("Change 1 domain")
    browser.wait_for("1 added, 0 unchanged, 0 refused")
    assert office.store.entry("graphicdesign.example").recorded


def test_an_edit_shows_its_difference_first(browser: Browser, address: str, office: Office) -> None:
    browser.open(f"{address}/domains/woodgrove.example")
    browser.press("Edit")
    browser.fill("mx", "smtp.google.com\nmx2.woodgrove.example")
    browser.press("Show what it does")
    browser.wait_for("+mx: mx2.woodgrove.example")
    browser.wait_for("MX records may name mx2.woodgrove.example from")
    browser.press("Change 1 domain")
    browser.wait_for("1 changed")
    browser.wait_for("Publish the TXT record _mta-sts.woodgrove.example")


def test_a_promotion_is_refused_with_its_reasons(browser: Browser, address: str) -> None:
    browser.open(f"{address}/domains/contoso.example")
    browser.press("Enforce…")
    browser.wait_for("1 refused")
    for reason in ("Testing has lasted since", "No sender gets the policy", "The TLS reports say"):
        assert reason in browser.text


def test_many_are_changed_by_the_brake_and_undone(browser: Browser, address: str, office: Office) -> None:
    browser.open(f"{address}/domains")
    browser.press("Change all 11…")
    browser.fill("max_age", "1814400")
    browser.fill("note", "three weeks for all")
    browser.press("Show what it does")
    browser.wait_for("refused")
    browser.press("Change 10 domains")
    browser.wait_for("10 changed")
    browser.open(f"{address}/history")
    browser.wait_for("three weeks for all")
    browser.press("10 revisions and undo")
    browser.press("Undo…")
    browser.wait_for("This changes 6 domains")
    assert "No pattern matches the MX host" in browser.text  # an undo is refused where it would stop mail
    browser.press("Change 6 domains")
    browser.wait_for("6 put back, 0 unchanged, 4 refused")


def test_taking_protection_away_asks_for_the_reason_and_the_number(browser: Browser, address: str) -> None:
    browser.open(f"{address}/edit?domain=woodgrove.example&domain=fabrikam.example")
    browser.press("Withdraw the policies…")
    browser.wait_for("It takes protection away")
    browser.fill("why", "they left")
    browser.press("Go on")
    browser.wait_for("Type 2 to go on")
    browser.fill("count", "2")
    browser.press("Change 2 domains")
    browser.wait_for("2 retired")


def test_three_hundred_domains_are_imported(browser: Browser, address: str, tmp_path: Path, office: Office) -> None:
    rows = "".join(f"customer{number:03}.example,*.mail.protection.outlook.com\n" for number in range(300))
    (tmp_path / "list.csv").write_text(f"domain,mx\n{rows}bad_name,mx.example\n", encoding="utf-8")
    browser.open(f"{address}/import")
    browser.find("input[type=file]").send_keys(str(tmp_path / "list.csv"))
    browser.fill("customer", "A new one")
    browser.press("Show what it does")
    browser.wait_for("This changes 300 domains")
    assert "bad_name" in browser.text
    browser.press("Change 300 domains")
    browser.wait_for("300 imported")
    assert office.store.entry("customer299.example").customer == "A new one"


def test_a_mailed_report_is_brought_in(browser: Browser, address: str, tmp_path: Path) -> None:
    (tmp_path / "broken.eml").write_bytes(b"Subject: nothing\n\nno report\n")
    browser.open(f"{address}/reports")
    browser.find("input[type=file]").send_keys(str(tmp_path / "broken.eml"))
    browser.press("Import reports")
    browser.wait_for("1 not taken")


def test_a_report_that_google_mailed_is_brought_in_and_shown(
    browser: Browser, address: str, tmp_path: Path, office: Office
) -> None:
    day = office.desk().now.date() - timedelta(days=2)
    policy = {"policy-type": "sts", "policy-domain": "adatum.example", "policy-string": []}
    report = {
        "organization-name": "Sender </script><b>",
        "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "contact-info": "x@sender.example",
        "report-id": f"{day}_adatum",
        "policies": [
            {
                "policy": policy,
                "summary": {"total-successful-session-count": 4, "total-failure-session-count": 3},
                "failure-details": [{"result-type": "starttls-not-supported", "failed-session-count": 3}],
            }
        ],
    }
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    browser.open(f"{address}/reports")
    browser.find("input[type=file]").send_keys(str(tmp_path / "report.json"))
    browser.press("Import reports")
    browser.wait_for("1 entries added")
    browser.open(f"{address}/domains/adatum.example")
    browser.wait_for("starttls-not-supported")
    browser.press("By day and sender")
    browser.wait_for("Sender </script><b>")


def test_the_report_to_hand_on_opens_from_disk(browser: Browser, address: str, tmp_path: Path, office: Office) -> None:
    write_pages(tmp_path / "out", office.desk(), Selection((), read_conditions(["customer = Humongous Insurance"])))
    for width in (1280, 360):
        browser.look(width)
        browser.open((tmp_path / "out" / "index.html").as_uri())
        assert browser.overflow() <= 0
        browser.press("Humongous Insurance")
        browser.wait_for("Sessions of the last 30 days")
        assert browser.overflow() <= 0
        browser.press("humongousinsurance.example")
        browser.wait_for("The policy as senders get it")
        assert browser.overflow() <= 0
        assert browser.find("main").value_of_css_property("max-width") != "none"  # the style sheet is there
        if browser.script:
            assert browser.axe() == []


_PRESSED = "a:not(.skip), button, input:not([type=hidden]), select, summary"


def _tab_to(browser: Browser, text: str) -> None:
    """Press Tab until what has the focus says this, or is the field of this name."""
    for _ in range(80):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        element = browser.driver.switch_to.active_element
        if text in (element.text.strip(), element.get_attribute("id"), element.get_attribute("name")):
            return
    raise AssertionError(f"Tab does not come to {text!r}")


def _type(browser: Browser, *keys: str) -> None:
    ActionChains(browser.driver).send_keys(*keys).perform()


def test_the_keyboard_alone_adds_enforces_and_undoes(browser: Browser, address: str, office: Office) -> None:
    browser.open(f"{address}/domains")
    _tab_to(browser, "Skip to the content")
    _tab_to(browser, "Add a domain")
    _type(browser, Keys.ENTER)
    browser.wait_for("MX patterns, one a line")
    _tab_to(browser, "domain")
    _type(browser, "keys.example")
    _tab_to(browser, "mx")
    _type(browser, "mx.keys.example")
    _tab_to(browser, "Show what it does")
    _type(browser, Keys.ENTER)
    browser.wait_for("This changes 1 domain")
    _tab_to(browser, "Change 1 domain")
    _type(browser, Keys.SPACE)
    browser.wait_for("1 added")
    browser.open(f"{address}/domains/keys.example")
    _tab_to(browser, "why")
    _type(browser, "by keys")
    _tab_to(browser, "Withdraw the policy…")
    _type(browser, Keys.ENTER)
    browser.wait_for("I want this")
    _tab_to(browser, "sure")
    _type(browser, Keys.SPACE)
    _tab_to(browser, "Change 1 domain")
    _type(browser, Keys.ENTER)
    browser.wait_for("1 retired")
    browser.open(f"{address}/history")
    browser.wait_for("by keys")
    _tab_to(browser, "1 revision and undo")
    _type(browser, Keys.ENTER)
    _tab_to(browser, "Undo…")
    assert browser.driver.switch_to.active_element.is_displayed()


def test_whatever_can_be_pressed_is_reached_by_tab(browser: Browser, address: str) -> None:
    """In the order of the page, with an outline around it."""
    for path in ("/domains", "/domains/humongousinsurance.example", "/history"):
        browser.open(address + path)
        browser.wait_for("You are ada@contoso")
        _tab_to(browser, "Skip to the content")
        wanted = [one for one in browser.all(_PRESSED) if _shown(one)]
        for number, element in enumerate(wanted):
            while True:
                _type(browser, Keys.TAB)
                active = browser.driver.switch_to.active_element
                if active.get_attribute("tabindex") != "0":  # a region that scrolls
                    break
            assert active == element, (path, number, active.text, element.text)
            assert active.value_of_css_property("outline-style") != "none", (path, active.text)


def _shown(element: WebElement) -> bool:
    return element.is_displayed() and element.is_enabled()


@pytest.mark.parametrize("path", _PAGES)
def test_axe_finds_nothing_serious_and_nothing_is_too_wide(browser: Browser, address: str, path: str) -> None:
    for width in (1280, 640, 360):  # 640 is 1280 at 200 %
        for dark in (False, True):
            browser.look(width, dark=dark)
            browser.open(address + path)
            browser.wait_for("You are ada@contoso")
            assert browser.overflow() <= 0, (width, path)
            if width != 640 and browser.script:  # axe is a script
                assert browser.axe() == []


def test_typing_filters_the_table(browser: Browser, address: str) -> None:
    browser.open(f"{address}/domains")
    field = browser.find("#q")
    field.send_keys("wood")
    if not browser.script:
        field.send_keys(Keys.ENTER)
    browser.wait_for("1 of 11 domains")
    assert len(browser.all("tbody tr")) == 1
    assert browser.driver.find_element(By.ID, "q").get_attribute("value") == "wood"


def test_the_browser_complains_of_nothing(browser: Browser, address: str) -> None:
    browser.complaints()
    for path in _PAGES[:-2]:  # the last two are errors, and a browser says so
        browser.open(address + path)
    found = [line for line in browser.complaints() if "favicon" not in line]
    assert found == []
