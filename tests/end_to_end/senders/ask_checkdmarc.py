"""Asks checkdmarc for policies: `ask_checkdmarc.py DNS_PORT DOMAIN...`, see `asking.py`."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import dns.resolver
from checkdmarc.mta_sts import check_mta_sts


def _ask(resolver: dns.resolver.Resolver, domain: str) -> dict[str, Any]:
    result = check_mta_sts(domain, resolver=resolver)
    if not result["valid"]:
        return {"error": result["error"]}
    if result["warnings"]:
        return {"error": "; ".join(result["warnings"])}
    return {"id": result["id"], **{field: result["policy"][field] for field in ("mode", "mx", "max_age")}}


if __name__ == "__main__":
    loopback = dns.resolver.Resolver(configure=False)
    loopback.nameservers = ["127.0.0.1"]
    loopback.port = int(sys.argv[1])
    domains = sys.argv[2:]
    with ThreadPoolExecutor(4) as threads:
        print(json.dumps(dict(zip(domains, threads.map(partial(_ask, loopback), domains), strict=True))))
