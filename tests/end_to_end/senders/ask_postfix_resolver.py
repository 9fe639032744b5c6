"""Asks postfix-mta-sts-resolver for policies: `ask_postfix_resolver.py DNS_PORT DOMAIN...`, see `asking.py`."""

import asyncio
import json
import logging
import sys
from contextvars import ContextVar
from typing import Any

import aiodns
from postfix_mta_sts_resolver.resolver import STSFetchResult, STSResolver

# What the resolver logs of the domain at hand: its result says that a fetch failed, only its log says why.
_logged: ContextVar[list[str]] = ContextVar("_logged")
_AT_ONCE = 4


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _logged.get().append(record.getMessage())


async def _ask(dns_port: str, domains: list[str]) -> dict[str, dict[str, Any]]:
    loop = asyncio.get_running_loop()
    resolver = STSResolver(loop=loop)
    # Its constructor takes no name servers, as its users set them for the whole machine.
    resolver._resolver = aiodns.DNSResolver([f"127.0.0.1:{dns_port}"], loop=loop)
    logging.getLogger("RES").addHandler(_Warnings(logging.WARNING))
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(domain: str) -> dict[str, Any]:
        _logged.set([])
        async with turns:
            result, found = await resolver.resolve(domain)
        if result is not STSFetchResult.VALID:
            return {"error": "; ".join([result.name, *_logged.get()])}
        id_, policy = found
        return {"id": id_, **{field: policy[field] for field in ("mode", "mx", "max_age")}}

    return dict(zip(domains, await asyncio.gather(*map(one, domains)), strict=True))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_ask(sys.argv[1], sys.argv[2:]))))
