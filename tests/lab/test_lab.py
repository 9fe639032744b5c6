"""The lab does what it says: each server, asked by libraries that know nothing of the checker."""

import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from tests.lab.certificates import only_tls_1_1
from tests.lab.mx_hosts import KINDS
from tests.lab.situation import PolicyHost, Situation, load
from tests.lab.world import World

_NAME = "mx.good.example"
_SECONDS = 5
_A_WHILE = 0.3  # seconds, after which a server that says nothing is taken for silent
_PATH = "/.well-known/mta-sts.txt"
_SITUATIONS = {situation.name: situation for situation in load()}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Every situation of the file."""
    with World(_SITUATIONS.values()) as running:
        yield running


def trusting(world: World) -> ssl.SSLContext:
    """A client's context."""
    return ssl.create_default_context(cafile=str(world.ca_file))


class TestMxHosts:
    def start_tls(self, world: World, kind: str, context: ssl.SSLContext, seconds: float = _SECONDS) -> str | None:
        """The TLS version with this kind of host after STARTTLS, the certificate checked for its name."""
        with smtplib.SMTP(timeout=seconds) as client:
            client.connect(world.mx_hosts.addresses[kind], world.smtp_port)
            client.ehlo("client.example")
            client.docmd("STARTTLS")
            assert client.sock is not None
            with context.wrap_socket(client.sock, server_hostname=_NAME) as tls:
                client.sock = tls
                version = tls.version()
            with suppress(smtplib.SMTPServerDisconnected):
                client.close()
            client.sock = None
        return version

    @pytest.mark.parametrize("kind", ["good", "slow", "ends_soon"])
    def test_takes_starttls_with_a_certificate_for_the_name_asked_for(self, world: World, kind: str) -> None:
        assert self.start_tls(world, kind, trusting(world)) == "TLSv1.3"

    @pytest.mark.parametrize(
        ("kind", "code"),
        [("other_name", 62), ("expired", 10), ("self_signed", 18), ("unknown_authority", 20)],
    )
    def test_has_a_certificate_that_is_wrong_as_its_kind_says(self, world: World, kind: str, code: int) -> None:
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            self.start_tls(world, kind, trusting(world))
        assert caught.value.verify_code == code  # of OpenSSL's X509_verify_cert_error_string

    def test_a_certificate_may_have_the_name_as_common_name_alone(self, world: World) -> None:
        context = trusting(world)
        assert self.start_tls(world, "common_name_only", context)
        context.hostname_checks_common_name = False
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            self.start_tls(world, "common_name_only", context)
        assert caught.value.verify_code == 62

    def test_speaks_tls_1_1_alone_and_says_so(self, world: World) -> None:
        with pytest.raises(ssl.SSLError) as caught:
            self.start_tls(world, "tls_1_1", trusting(world))
        assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
        old = trusting(world)
        only_tls_1_1(old)
        assert self.start_tls(world, "tls_1_1", old) == "TLSv1.1"

    def test_offers_no_starttls(self, world: World) -> None:
        with smtplib.SMTP(world.mx_hosts.addresses["no_starttls"], world.smtp_port, timeout=_SECONDS) as client:
            client.ehlo("client.example")
            assert not client.has_extn("starttls")

    @pytest.mark.parametrize("kind", ["no_connection", "silent", "silent_at_ehlo", "silent_in_handshake"])
    def test_lets_a_client_wait(self, world: World, kind: str) -> None:
        with pytest.raises(OSError, match="timed out"):
            self.start_tls(world, kind, trusting(world), _A_WHILE)

    def test_refuses_connections(self, world: World) -> None:
        with pytest.raises(ConnectionRefusedError):
            self.start_tls(world, "nobody", trusting(world))

    @pytest.mark.parametrize(
        "kind", ["rubbish", "endless", "refusing", "cut", "cut_in_handshake", "no_tls_in_handshake"]
    )
    def test_is_no_mail_server_to_deliver_to(self, world: World, kind: str) -> None:
        with pytest.raises((smtplib.SMTPException, ssl.SSLError, OSError)) as caught:
            self.start_tls(world, kind, trusting(world))
        assert "timed out" not in str(caught.value)

    def test_every_kind_occurs_in_a_situation(self) -> None:
        assert {host.kind for situation in _SITUATIONS.values() for host in situation.hosts.values()} == set(KINDS)


class TestPolicyHosts:
    def get(
        self, world: World, name: str, context: ssl.SSLContext, sni: str | None = "", seconds: float = _SECONDS
    ) -> bytes:
        """What the policy host of a situation sends in `seconds` from the handshake on."""
        situation = _SITUATIONS[name]
        host = f"mta-sts.{situation.domain}"
        address = world.policy_hosts.address(situation.domain), world.https_port
        received = b""
        with (
            socket.create_connection(address, timeout=_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host if sni == "" else sni) as tls,
            suppress(TimeoutError),
        ):
            tls.settimeout(seconds)
            end = time.monotonic() + seconds
            tls.sendall(f"GET {_PATH} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            while (part := tls.recv(65536)) and len(received) < 10**6 and time.monotonic() < end:
                received += part
        return received

    def test_serves_the_text_of_its_situation(self, world: World) -> None:
        head, _, body = self.get(world, "good", trusting(world)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert body == b"version: STSv1\r\nmode: enforce\r\nmx: mx.good.example\r\nmax_age: 1209600\r\n"

    def test_redirects(self, world: World) -> None:
        answer = self.get(world, "https-redirect", trusting(world))
        assert answer.startswith(b"HTTP/1.1 301 ")
        assert b"\r\nLocation: https://" in answer

    def test_leaves_the_type_out(self, world: World) -> None:
        assert b"Content-Type" not in self.get(world, "https-without-a-type", trusting(world))

    @pytest.mark.parametrize("size", [65536, 65537, 100000])
    def test_a_text_has_the_size_wanted(self, size: int) -> None:
        assert len(PolicyHost(size=size).octets("contoso.com")) == size

    def test_sends_chunks(self, world: World) -> None:
        assert self.get(world, "text-of-64-kib-in-chunks", trusting(world)).endswith(b"\r\n0\r\n\r\n")

    def test_cuts_the_text(self, world: World) -> None:
        assert not self.get(world, "https-cut", trusting(world)).endswith(b"\r\n")

    def test_sends_without_end(self, world: World) -> None:
        assert len(self.get(world, "https-endless", trusting(world))) >= 10**6

    def test_drips(self, world: World) -> None:
        _, _, body = self.get(world, "https-dripping", trusting(world), seconds=1).partition(b"\r\n\r\n")
        assert 0 < len(body) < 20

    @pytest.mark.parametrize("name", ["https-silent-and-no-reports", "https-over-2-seconds"])
    def test_is_silent_for_a_while_or_for_good(self, world: World, name: str) -> None:
        assert self.get(world, name, trusting(world), seconds=_A_WHILE) == b""

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("https-certificate-other-name", 62),
            ("https-certificate-expired", 10),
            ("https-certificate-self-signed", 18),
            ("https-certificate-of-an-unknown-authority", 20),
        ],
    )
    def test_has_a_certificate_that_is_wrong(self, world: World, name: str, code: int) -> None:
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            self.get(world, name, trusting(world))
        assert caught.value.verify_code == code

    def test_speaks_tls_1_1_alone(self, world: World) -> None:
        with pytest.raises(ssl.SSLError) as caught:
            self.get(world, "https-tls-1-1", trusting(world))
        assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"

    def test_speaks_http_without_tls(self, world: World) -> None:
        with pytest.raises(ssl.SSLError):
            self.get(world, "https-without-tls", trusting(world))

    def test_wants_a_server_name(self, world: World) -> None:
        context = trusting(world)
        context.check_hostname = False
        with pytest.raises(OSError, match=r"(?i)unrecognized|eof|reset"):
            self.get(world, "good", context, sni=None)

    def test_refuses_connections(self, world: World) -> None:
        with pytest.raises(ConnectionRefusedError):
            self.get(world, "https-refused", trusting(world))


class TestNameServer:
    def ask(
        self, world: World, name: str, kind: str, *, ad: bool = False, seconds: float = _SECONDS
    ) -> dns.message.Message:
        """The reply to one question over UDP."""
        query = dns.message.make_query(name, kind, flags=dns.flags.RD | (dns.flags.AD if ad else 0))
        return dns.query.udp(query, "127.0.0.1", port=world.dns_port, timeout=seconds)

    def texts(self, reply: dns.message.Message) -> list[str]:
        return [record.to_text() for rrset in reply.answer for record in rrset]

    def test_a_text_may_have_several_strings(self, world: World) -> None:
        assert self.texts(self.ask(world, "_mta-sts.host-at-the-provider.example", "TXT")) == ['"v=STSv1; " "id=" "1;"']

    def test_an_alias_is_followed(self, world: World) -> None:
        reply = self.ask(world, "mta-sts.host-at-the-provider.example", "A")
        assert [rrset.rdtype for rrset in reply.answer] == [dns.rdatatype.CNAME, dns.rdatatype.A]

    def test_has_addresses_of_both_kinds(self, world: World) -> None:
        assert self.texts(self.ask(world, "mta-sts.host-over-ipv6-alone.example", "AAAA")) == ["::ffff:127.44.0.2"]

    def test_has_tlsa_records(self, world: World) -> None:
        assert len(self.texts(self.ask(world, "_25._tcp.mx.tlsa.example", "TLSA"))) == 1

    def test_says_that_an_answer_is_authenticated_to_whom_it_may_concern(self, world: World) -> None:
        assert self.ask(world, "tlsa.example", "MX", ad=True).flags & dns.flags.AD
        assert not self.ask(world, "tlsa.example", "MX").flags & dns.flags.AD
        assert not self.ask(world, "good.example", "MX", ad=True).flags & dns.flags.AD

    def test_a_name_that_is_not_there_does_not_exist(self, world: World) -> None:
        assert self.ask(world, "nowhere.example", "A").rcode() == dns.rcode.NXDOMAIN

    def test_fails(self, world: World) -> None:
        assert self.ask(world, "_mta-sts.txt-servfail.example", "TXT").rcode() == dns.rcode.SERVFAIL

    def test_is_silent(self, world: World) -> None:
        with pytest.raises(dns.exception.Timeout):
            self.ask(world, "mx-silence.example", "MX", seconds=_A_WHILE)


def test_two_labs_can_stand_side_by_side() -> None:
    situation = Situation(name="alone", source="", verdict="verified", if_enforced="verified", findings=frozenset())
    with World([situation]) as one, World([situation]) as other:
        assert len({one.smtp_port, other.smtp_port}) == len({one.https_port, other.https_port}) == 2
