"""The policy host of a domain: looked up, and asked for the policy at every address that a check may connect to."""

import asyncio
from dataclasses import replace

from policy_store.names import policy_host
from policy_store.sender.dns import LookupFailed
from policy_store.sender.facts import Fetched, PolicyHost
from policy_store.sender.https import fetch, refuses_tls_1_2
from policy_store.sender.limits import HTTPS_AT_ONCE, MOST_ADDRESSES
from policy_store.sender.network import Network


class FetchFailed(Exception):
    """A sender gets no policy text from the policy host; the message says why."""


async def ask_policy_host(domain: str, network: Network) -> PolicyHost:
    """What every address of `mta-sts.<domain>` serves. Raises nothing but bugs."""
    name = policy_host(domain)
    try:
        found = await network.resolver.host(name)
    except LookupFailed as error:
        return PolicyHost(lookup_error=str(error), lookup_answered=error.answered)
    addresses = found.addresses[:MOST_ADDRESSES]
    allowed = [address for address in addresses if network.may_ask(address)]
    fetched = await asyncio.gather(*(_ask(name, address, network) for address in allowed))
    return PolicyHost(
        tuple(zip(allowed, _with_one_text(fetched), strict=True)),
        tuple(address for address in addresses if address not in allowed),
        found.cname,
    )


async def fetch_policy(domain: str, network: Network) -> bytes:
    """The text that `mta-sts.<domain>` serves to senders that keep to the RFC, at every address that takes a
    connection. Raises FetchFailed.
    """
    host = await ask_policy_host(domain, network)
    if reason := why_no_text(domain, host):
        raise FetchFailed(reason)
    return host.counting[0][1].text


def why_no_text(domain: str, host: PolicyHost) -> str:
    """Why a sender gets no policy text from the host, or not always the same one; empty if it does."""
    name = policy_host(domain)
    if host.lookup_error is not None:
        return host.lookup_error
    if not host.answers:
        return _no_address(name, host)
    answers = host.counting
    if not answers:
        return f"{name} {host.answers[0][1].detail}"
    for address, fetched in answers:
        if fetched.problem is not None:
            at = f" at {address}" if len(answers) > 1 else ""
            return f"{name}{at} {fetched.detail}"
    if len({fetched.text for _, fetched in answers}) > 1:
        return f"{name} serves different texts at {' and '.join(address for address, _ in answers)}"
    return ""


def next_step(domain: str, host: PolicyHost) -> str:
    """What to do where a sender gets no policy text from the host."""
    problem = host.counting[0][1].problem if host.counting else None
    if host.lookup_error is not None:
        return "try again, or ask the DNS host"
    if not host.answers:
        return "correct its CNAME" if host.cname else "publish its CNAME to the app, which 'mta-sts dns show' prints"
    if problem in ("https_certificate_name", "https_no_certificate", "https_tls", "https_status"):
        return f"finish 'mta-sts bind {domain}'"
    return f"'mta-sts check {domain}' says more"


def _no_address(name: str, host: PolicyHost) -> str:
    if host.private:
        return f"{name} has the private address {host.private[0]} only, which was not asked"
    return f"{name} leads to {host.cname}, which has no address" if host.cname else f"{name} has no address"


async def _ask(name: str, address: str, network: Network) -> Fetched:
    port = network.https_port
    async with network.turns(address, port, HTTPS_AT_ONCE).turn():
        fetched = await fetch(
            name, address, network.context, port=port, seconds=network.https_seconds, limit=network.text_limit
        )
        if fetched.problem == "https_unreachable" and not network.sees(address):
            detail = "was not asked: this machine has no IPv6 address on the Internet"
            return replace(fetched, problem="https_not_from_here", detail=detail)
        newest = fetched.problem is None and fetched.session is not None and fetched.session.version == "TLSv1.3"
        if newest and await refuses_tls_1_2(name, address, port):
            return replace(fetched, notes=(*fetched.notes, ("https_tls_1_3_only", "speaks TLS 1.3 only")))
    return fetched


def _with_one_text(fetched: list[Fetched]) -> list[Fetched]:
    """The same with one object for texts that are equal: a host may have many addresses."""
    texts: dict[bytes, bytes] = {}
    return [replace(each, text=texts.setdefault(each.text, each.text)) for each in fetched]
