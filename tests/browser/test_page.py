"""A day's work in a real browser, with JavaScript and without, by mouse and by keyboard."""

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from dev.browser import Browser
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


def test_the_keyboard_alone_does_it(browser: Browser, address: str) -> None:
    browser.open(f"{address}/add")
    browser.find("body").send_keys(Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "Skip to the content"
    browser.find("#domain").send_keys("keys.example")
    browser.find("#mx").send_keys("mx.keys.example")
    browser.find("#domain").send_keys(Keys.ENTER)  # as every form
    browser.wait_for("keys.example")


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
    for path in _PAGES[:-1]:
        browser.open(address + path)
    found = [line for line in browser.complaints() if "favicon" not in line]
    assert found == []
