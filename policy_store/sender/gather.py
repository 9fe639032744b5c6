"""The way of a sending server, walked over the network: from a domain to the facts about it."""

import asyncio
import secrets
from collections.abc import Awaitable
from datetime import UTC, datetime

from policy_store.sender.dns import LookupFailed, MxHost, MxRecords, Resolver
from policy_store.sender.facts import Facts, MxFacts
from policy_store.sender.mail_host import ask_mail_host
from policy_store.sender.network import Network
from policy_store.sender.policy_host import ask_policy_host
from policy_store.sender.published import TxtState
from policy_store.txt_records import sts_records

_MOST_MX = 20  # that are asked, of one domain
# Where the record is put by mistake, DOMAIN standing for the domain: some panels add the zone's name to what is typed.
_WRONG_PLACES = ("{0}", "mta-sts.{0}", "_mta-sts.{0}.{0}", "_mta_sts.{0}", "_mta-sts._tcp.{0}", "_mta-sts.mta-sts.{0}")


async def gather(domain: str, network: Network) -> Facts:
    """Everything that a sender would find out about `domain`, and some more. Raises nothing but bugs."""
    resolver = network.resolver
    (txt, txt_cname, elsewhere, wildcard), host, mail, tlsrpt = await asyncio.gather(
        _txt(domain, resolver), ask_policy_host(domain, network), _mail(domain, network), _reports(domain, resolver)
    )
    records, error, answered, implicit, mx = mail
    return Facts(
        domain=domain,
        time=datetime.now(UTC),
        txt=txt,
        txt_cname=txt_cname,
        policy_host=host,
        mx_records=records,
        mx_error=error,
        mx_answered=answered,
        implicit_mx=implicit,
        mx=mx,
        tlsrpt=tlsrpt,
        elsewhere=elsewhere,
        wildcard=wildcard,
    )


async def _txt(domain: str, resolver: Resolver) -> tuple[TxtState, str | None, tuple[tuple[str, str], ...], bool]:
    """The TXT records at `_mta-sts`, where its CNAME leads, records at other names where there is none, and whether
    any name has what is there.
    """
    try:
        found = await resolver.texts(f"_mta-sts.{domain}")
    except LookupFailed as error:
        return TxtState(error=str(error)), None, (), False
    state = TxtState(found.texts)
    if sts_records(found.texts):
        return state, found.cname, (), False
    any_name = f"{secrets.token_hex(8)}.{domain}"
    places = [place.format(domain) for place in _WRONG_PLACES]
    *others, at_any = await asyncio.gather(*(_texts(resolver, name) for name in [*places, any_name]))
    elsewhere = tuple((name, sts[0]) for name, texts in zip(places, others, strict=True) if (sts := sts_records(texts)))
    return state, found.cname, elsewhere, bool(found.texts) and sorted(at_any) == sorted(found.texts)


async def _mail(domain: str, network: Network) -> tuple[MxRecords | None, str, bool, bool, tuple[MxFacts, ...]]:
    """The MX records or why there are none, whether the domain is its own MX host, and what its MX hosts answer."""
    try:
        records = await network.resolver.mx(domain)
    except LookupFailed as error:
        return None, str(error), error.answered, False, ()
    hosts = records.hosts
    implicit = False
    if not hosts and not records.null:
        try:
            implicit = bool(await network.resolver.addresses(domain))
        except LookupFailed as error:
            return None, str(error), error.answered, False, ()
        hosts = (MxHost(0, domain),) if implicit else ()
    asked = await asyncio.gather(*(ask_mail_host(host, network) for host in hosts[:_MOST_MX]))
    skipped = (MxFacts(host.host, host.preference, skipped=True) for host in hosts[_MOST_MX:])
    return records, "", True, implicit, (*asked, *skipped)


async def _reports(domain: str, resolver: Resolver) -> tuple[str, ...] | None:
    return await _or_none(resolver.txt(f"_smtp._tls.{domain}"))


async def _texts(resolver: Resolver, name: str) -> tuple[str, ...]:
    return await _or_none(resolver.txt(name)) or ()


async def _or_none(question: Awaitable[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The answer, or None where DNS gives none: what is asked so does not decide anything."""
    try:
        return await question
    except LookupFailed:
        return None
