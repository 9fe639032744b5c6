"""The patterns that are proposed for MX hosts."""

import pytest

from policy_store.names import InvalidName
from policy_store.sender.mx_patterns import propose_patterns


class TestProposedPatterns:
    def test_exchange_online_is_named_by_its_zones_and_other_hosts_by_themselves(self) -> None:
        hosts = [
            "Contoso-com.mail.protection.outlook.com.",
            "contoso-com.a-v1.mx.microsoft",
            "fabrikam-com.mail.protection.outlook.com",
            "mx1.contoso.com",
            "mx1.contoso.com.",
            "a.b.mail.protection.outlook.com",
            "contoso-com.x.mx.microsoft",
            "mail.protection.outlook.com",
        ]
        assert propose_patterns(hosts) == (
            "*.mail.protection.outlook.com",
            "*.a-v1.mx.microsoft",
            "mx1.contoso.com",
            "a.b.mail.protection.outlook.com",
            "contoso-com.x.mx.microsoft",
            "mail.protection.outlook.com",
        )

    def test_an_mx_record_that_names_no_host_is_refused(self) -> None:
        with pytest.raises(InvalidName):
            propose_patterns(["mail_1.contoso.com"])
