"""TXT record sets by the unmodified azure-mgmt-dns, against an Azure DNS on loopback with the documented rules."""

import time

import pytest

from policy_store.azure.zones import (
    RecordChanged,
    RecordRefused,
    TxtRecordSet,
    Zone,
    ZoneError,
    ZoneForbidden,
    ZoneThrottled,
    open_zone,
)
from policy_store.zone_id import ZoneId
from tests.azure.conftest import SETTINGS, ZONE
from tests.lab.azure_dns import OWNER, AzureDns, Fault

_NAME = "_mta-sts.contoso.com"
_FIRST, _SECOND = "v=STSv1; id=1;", "v=STSv1; id=2;"


def test_a_record_is_made_only_where_there_is_none(azure: AzureDns, zone: Zone) -> None:
    made = zone.put(_NAME, _FIRST, None)
    assert made == TxtRecordSet(_NAME, (_FIRST,), 300, made.etag)
    assert zone.get(_NAME) == made
    with pytest.raises(RecordChanged):
        zone.put(_NAME, _SECOND, None)
    assert azure.texts(ZONE, _NAME) == [_FIRST]


def test_a_record_is_replaced_only_as_it_was_seen(azure: AzureDns, zone: Zone) -> None:
    seen = zone.put(_NAME, _FIRST, None)
    zone.put(_NAME, _SECOND, seen.etag)
    with pytest.raises(RecordChanged):
        zone.put(_NAME, _FIRST, seen.etag)
    assert azure.texts(ZONE, _NAME) == [_SECOND]


def test_a_record_that_somebody_deleted_is_not_replaced(azure: AzureDns, zone: Zone) -> None:
    seen = zone.put(_NAME, _FIRST, None)
    azure.set_texts(ZONE, _NAME)
    assert zone.get(_NAME) is None
    with pytest.raises(RecordChanged):
        zone.put(_NAME, _SECOND, seen.etag)


def test_all_pages_are_read(azure: AzureDns, zone: Zone) -> None:
    for number in range(250):
        azure.set_texts(ZONE, f"_mta-sts.d{number:03}.example", f"v=STSv1; id={number};")
    token, sizes, seen = "", [], {}
    while True:
        page, token = zone.page(token)
        sizes.append(len(page))
        seen.update({record_set.name: record_set.texts for record_set in page})
        if not token:
            break
    assert sizes == [100, 100, 50]
    assert seen["_mta-sts.d249.example"] == ("v=STSv1; id=249;",)


def test_a_text_of_several_strings_comes_back_whole(azure: AzureDns, zone: Zone) -> None:
    text = "v=TLSRPTv1; rua=mailto:" + "a" * 300 + "@provider.example;"
    assert zone.put("_smtp._tls", text, None).texts == (text,)
    assert azure.texts(ZONE, "_smtp._tls") == [text]


def test_the_apps_role_does_not_delete(azure: AzureDns, zone: Zone) -> None:
    seen = zone.put(_NAME, _FIRST, None)
    with pytest.raises(ZoneForbidden, match="needs a role"):
        zone.delete(_NAME, seen.etag)
    azure.allowed = OWNER
    with pytest.raises(RecordChanged):
        zone.delete(_NAME, "another")
    zone.delete(_NAME, seen.etag)
    assert azure.names(ZONE) == []


def test_without_a_role_nothing_is_read_or_written(azure: AzureDns, zone: Zone) -> None:
    azure.allowed = frozenset()
    with pytest.raises(ZoneForbidden, match="AuthorizationFailed"):
        zone.page()
    with pytest.raises(ZoneForbidden):
        zone.put(_NAME, _FIRST, None)


def test_too_many_requests_say_for_how_long(azure: AzureDns, zone: Zone) -> None:
    azure.faults.append(429)
    azure.retry_after = 307
    with pytest.raises(ZoneThrottled) as caught:
        zone.put(_NAME, _FIRST, None)
    assert caught.value.seconds == 307
    assert len(azure.requests) == 1, "it is not repeated"


def test_the_documented_limits_are_kept(azure: AzureDns, zone: Zone) -> None:
    azure.limits = {"write": 2}
    zone.put("_mta-sts.a.example", _FIRST, None)
    zone.put("_mta-sts.b.example", _FIRST, None)
    with pytest.raises(ZoneThrottled) as caught:
        zone.put("_mta-sts.c.example", _FIRST, None)
    assert 1 <= caught.value.seconds <= 61


@pytest.mark.parametrize("fault", [500, 503, "hang up", "lost answer"])
def test_a_failure_is_one_error_of_one_request(azure: AzureDns, zone: Zone, fault: Fault) -> None:
    azure.faults.append(fault)
    with pytest.raises(ZoneError) as caught:
        zone.put(_NAME, _FIRST, None)
    assert "\n" not in str(caught.value)
    assert len(azure.requests) == 1
    assert azure.texts(ZONE, _NAME) == ([_FIRST] if fault == "lost answer" else [])


def test_a_silent_service_costs_the_seconds_that_are_given(azure: AzureDns, zone: Zone) -> None:
    azure.faults.append("silent")
    start = time.monotonic()
    with pytest.raises(ZoneError, match="cannot be reached"):
        zone.put(_NAME, _FIRST, None, seconds=1.5)
    assert 0.5 < time.monotonic() - start < 4


def test_a_name_that_has_a_cname_is_refused(azure: AzureDns, zone: Zone) -> None:
    azure.set_cname(ZONE, _NAME, "elsewhere.example")
    with pytest.raises(RecordRefused, match="CNAME"):
        zone.put(_NAME, _FIRST, None)


def test_a_zone_that_is_not_there_is_an_error(azure: AzureDns) -> None:
    missing = open_zone(ZoneId.parse(azure.zone_id("other.example")), SETTINGS)
    with pytest.raises(ZoneError, match=r"other\.example"):
        missing.page()
    with pytest.raises(ZoneError):
        missing.put(_NAME, _FIRST, None)
