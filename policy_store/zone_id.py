"""The resource id of a zone in Azure DNS, as the portal and the output of infra/ show it."""

import re
from dataclasses import dataclass
from typing import Self

from policy_store.names import InvalidName, quoted, read_name

_SHAPE = re.compile(
    r"/subscriptions/(?P<subscription>[0-9a-f-]{36})/resourceGroups/(?P<group>[^/]{1,90})"
    r"/providers/Microsoft\.Network/dnsZones/(?P<name>[^/]+)/?",
    re.IGNORECASE,  # Azure's ids are the same in any letter case
)


@dataclass(frozen=True, slots=True)
class ZoneId:
    """A zone in Azure DNS: the subscription and the resource group that it is in, and its name in lower case."""

    subscription: str
    group: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The zone that a resource id names. Raises ValueError, whose message says what is wrong."""
        match = _SHAPE.fullmatch(text.strip())
        if not match:
            raise ValueError(
                f"{quoted(text)} is not the resource id of a DNS zone, such as "
                "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Network/dnsZones/sts.example.com"
            )
        try:
            name = read_name(match["name"])
        except InvalidName as error:
            raise ValueError(f"the zone in {quoted(text)} has no valid name: {error}") from error
        return cls(match["subscription"].lower(), match["group"], name)

    def __str__(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.Network/dnsZones/{self.name}"
        )
