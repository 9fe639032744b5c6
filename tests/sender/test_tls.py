"""Names of certificates as senders compare them."""

import pytest

from policy_store.sender.tls import covers


@pytest.mark.parametrize(
    ("name", "host", "strictly", "with_underscore"),
    [
        ("mx.contoso.com", "mx.contoso.com", True, True),
        ("mx.contoso.com", "MX.Contoso.com", True, True),
        ("mx_1.contoso.com", "mx_1.contoso.com", True, True),
        ("*.contoso.com", "mx.contoso.com", True, True),
        ("*.contoso.com", "mx_1.contoso.com", False, True),
        ("*.contoso.com", "xn--bcher-kva.contoso.com", True, True),
        ("*.contoso.com", "contoso.com", False, False),
        ("*.contoso.com", "a.mx.contoso.com", False, False),
        ("*.com", "contoso.com", False, False),
        ("*", "contoso", False, False),
        ("m*.contoso.com", "mx.contoso.com", False, False),
        ("mx.*.com", "mx.contoso.com", False, False),
        ("*.contoso.com", ".contoso.com", False, False),
        ("", "", False, False),
        ("mail.contoso.com", "mx.contoso.com", False, False),
    ],
)
def test_a_name_covers_a_host(name: str, host: str, strictly: bool, with_underscore: bool) -> None:
    assert (covers(name, host), covers(name, host, underscore=True)) == (strictly, with_underscore)
