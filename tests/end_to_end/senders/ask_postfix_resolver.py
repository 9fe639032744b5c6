"""Asks postfix-mta-sts-resolver for policies: `ask_postfix_resolver.py DNS_PORT DOMAIN...`, see `asking.py`."""

import asyncio
import json
import logging
import sys
from typing import Any

import aiodns
from postfix_mta_sts_resolver.resolver import STSFetchResult, STSResolver


class _Warnings(logging.Handler):
    """Keeps what the resolver logs: its result says that a fetch failed, only its log says why."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


async def _ask(dns_port: str, domains: list[str]) -> dict[str, dict[str, Any]]:
    loop = asyncio.get_running_loop()
    resolver = STSResolver(loop=loop)
    # Its constructor takes no name servers, as its users set them for the whole machine.
    resolver._resolver = aiodns.DNSResolver([f"127.0.0.1:{dns_port}"], loop=loop)
    warnings = _Warnings()
    logging.getLogger("RES").addHandler(warnings)
    answers: dict[str, dict[str, Any]] = {}
    for domain in domains:
        warnings.texts.clear()
        result, found = await resolver.resolve(domain)
        if result is STSFetchResult.VALID:
            id_, policy = found
            answers[domain] = {"id": id_, **{field: policy[field] for field in ("mode", "mx", "max_age")}}
        else:
            answers[domain] = {"error": "; ".join([result.name, *warnings.texts])}
    return answers


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_ask(sys.argv[1], sys.argv[2:]))))
