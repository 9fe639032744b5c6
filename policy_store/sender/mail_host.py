"""One MX host: looked up, and asked at every address, once in a run however many domains name it."""

import asyncio
from dataclasses import replace

from policy_store.sender.dns import LookupFailed, MxHost
from policy_store.sender.facts import MxFacts
from policy_store.sender.limits import MOST_ADDRESSES, SMTP_AT_ONCE
from policy_store.sender.network import Network
from policy_store.sender.smtp import SmtpResult, probe


async def ask_mail_host(mx: MxHost, network: Network) -> MxFacts:
    """What the MX host answers. Raises nothing but bugs."""
    task = network.mail_hosts.get(mx.host)
    if task is None:
        task = network.mail_hosts[mx.host] = asyncio.create_task(_ask(mx.host, network))
    return replace(await asyncio.shield(task), preference=mx.preference)


async def _ask(host: str, network: Network) -> MxFacts:
    try:
        found = await network.resolver.host(host)
    except LookupFailed as error:
        return MxFacts(host, 0, lookup_error=str(error), lookup_answered=error.answered)
    addresses = found.addresses[:MOST_ADDRESSES]
    allowed = [address for address in addresses if network.may_ask(address)]
    tlsa, results = await asyncio.gather(
        _has_tlsa(host, network), asyncio.gather(*(_probe(host, address, network) for address in allowed))
    )
    private = tuple(address for address in addresses if address not in allowed)
    return MxFacts(host, 0, tuple(results), private, tlsa, cname=found.cname)


async def _has_tlsa(host: str, network: Network) -> bool:
    try:
        return await network.resolver.has_tlsa(f"_25._tcp.{host}")
    except LookupFailed:
        return False


async def _probe(host: str, address: str, network: Network) -> SmtpResult:
    """What the address answers; where it is busy, once more a little later."""
    result = await _once(host, address, network)
    for seconds in network.retry_seconds:
        if result.outcome != "busy":
            break
        await asyncio.sleep(seconds)
        result = await _once(host, address, network)
    return result


async def _once(host: str, address: str, network: Network) -> SmtpResult:
    async with network.turns(address, network.smtp_port, SMTP_AT_ONCE).turn():
        return await probe(
            host,
            address,
            context=network.context,
            port=network.smtp_port,
            step_seconds=network.smtp_seconds,
            helo=network.helo,
        )
