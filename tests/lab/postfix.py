"""What Debian's Postfix does with a message to every domain of the lab: writes postfix.json
(`apt-get install postfix`, then as root `python -m tests.lab.postfix`).

It sends real mail, with the TLS policies that postfix-mta-sts-resolver replies, in an instance of its own whose DNS
server is the lab's. The tests read the file, so that they need no Postfix.
"""

import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dnslib.server import DNSLogger, DNSServer

from tests.lab.name_server import NameServer
from tests.lab.situation import Situation, load
from tests.lab.world import World

FILE = Path(__file__).with_name("postfix.json")

_DNS = "127.77.0.1"  # its port 53 is free, and resolv.conf can name no other port
_SECONDS = 100
_MASTER = """
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
smtp      unix  -       -       y       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""
_MAIN = """
compatibility_level = 3.6
queue_directory = {here}/spool
data_directory = {here}/data
maillog_file = {here}/mail.log
maillog_file_prefixes = {here}
myhostname = client.lab.invalid
mydestination =
alias_maps =
inet_interfaces = loopback-only
inet_protocols = ipv4
smtp_tcp_port = {port}
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtp_tls_CAfile = {ca}
smtp_tls_policy_maps = texthash:{here}/policies
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 4s
smtp_connect_timeout = 3s
smtp_helo_timeout = 8s
smtp_starttls_timeout = 5s
smtp_quit_timeout = 2s
smtp_mail_timeout = 5s
smtp_rcpt_timeout = 5s
smtp_data_init_timeout = 5s
smtp_data_xfer_timeout = 5s
smtp_data_done_timeout = 5s

notify_classes =

"""


class _AtPort53(NameServer):
    """The lab's DNS server where a resolver finds it by its address alone."""

    def _listen(self) -> list[DNSServer]:
        quiet = DNSLogger(logf=lambda _: None)
        return [DNSServer(self, address=_DNS, port=53, tcp=tcp, logger=quiet) for tcp in (True, False)]


def send_all(situations: list[Situation]) -> dict[str, dict[str, str]]:
    """Situation -> `status` (sent, deferred, bounced) and `why`, in Postfix's own words."""
    with World(situations) as world, _AtPort53(*world.name_table), tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        here.chmod(0o755)
        domains = {situation.domain: situation.name for situation in situations}
        _configure(here, world, _policies(world, situations))
        postfix = ["postfix", "-c", str(here / "etc")]
        subprocess.run([*postfix, "start"], check=True)
        try:
            for domain in domains:
                command = ["sendmail", "-C", str(here / "etc"), "-f", "", f"someone@{domain}"]
                subprocess.run(command, input=b"Subject: hello\n\nhello\n", check=True)
            found = _wait(here / "mail.log", domains)
        finally:
            subprocess.run([*postfix, "stop"], check=True)
    return {name: found.get(name, {"status": "deferred", "why": "no end in time"}) for name in domains.values()}


def _policies(world: World, situations: list[Situation]) -> str:
    """The table of TLS policies: for each domain what postfix-mta-sts-resolver replies to Postfix."""
    from tests.lab import agreement  # which reads what this module writes

    lines = []
    for domain, answer in agreement.asked(agreement.POSTFIX, situations, world).items():
        if answer.get("mode") == "enforce":
            patterns = ":".join(mx.lstrip("*") for mx in dict.fromkeys(answer["mx"]))
            lines.append(f"{domain} secure match={patterns} servername=hostname")
    return "\n".join([*lines, ""])


def _configure(here: Path, world: World, policies: str) -> None:
    for name in ("etc", "spool", "data", "spool/etc"):
        (here / name).mkdir()
        (here / name).chmod(0o755)
    shutil.chown(here / "data", "postfix")
    (here / "ca.pem").write_bytes(world.ca_file.read_bytes())
    (here / "policies").write_text(policies, encoding="utf-8")
    (here / "spool/etc/resolv.conf").write_text(f"nameserver {_DNS}\noptions timeout:1 attempts:1\n", encoding="utf-8")
    text = _MAIN.format(here=here, port=world.smtp_port, ca=here / "ca.pem")
    (here / "etc/main.cf").write_text(text, encoding="utf-8")
    (here / "etc/master.cf").write_text(_MASTER, encoding="utf-8")


def _wait(log: Path, domains: dict[str, str]) -> dict[str, dict[str, str]]:
    """What the log says of each domain after a while: that the message was sent, at the first attempt or a later one,
    else how the first attempt ended.
    """
    found: dict[str, dict[str, str]] = {}
    end = time.monotonic() + _SECONDS
    pattern = re.compile(r"to=<someone@([^>]+)>.* status=(\w+) \((.*)\)$")
    while time.monotonic() < end and any(found.get(name, {}).get("status") != "sent" for name in domains.values()):
        time.sleep(5)
        if len(found) == len(domains):
            subprocess.run(["postqueue", "-c", str(log.parent / "etc"), "-f"], check=True)
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            match = pattern.search(line)
            if match and match[1] in domains:
                said = {"status": match[2], "why": _steady(match[3])}
                if domains[match[1]] not in found or match[2] == "sent":
                    found[domains[match[1]]] = said
    return found


def _steady(text: str) -> str:
    """The sentence without what differs from run to run."""
    text = re.sub(r"(queued as |Message-ID).*", r"\1…", text)
    text = re.sub(r"\[127\.25\.0\.\d+\](:\d+)?", "[…]", text)
    return re.sub(r"[^\x20-\x7e…]", "?", text)[:160]


def version() -> str:
    """The version of the Postfix that is installed."""
    said = subprocess.run(["postconf", "-d", "-h", "mail_version"], capture_output=True, text=True, check=True)
    return said.stdout.strip()


def main(names: Iterable[str]) -> None:
    """Ask about the situations whose names have one of these words, and show them; without words write the file."""
    logging.getLogger("mail.log").disabled = True
    words = list(names)
    chosen = [each for each in load() if each.run == "allow_private"]
    found = send_all([each for each in chosen if not words or any(word in each.name for word in words)])
    text = json.dumps({"postfix": version(), "situations": found}, indent=1, ensure_ascii=False) + "\n"
    if words:
        print(text)
    else:
        FILE.write_text(text, encoding="utf-8")


def recorded() -> dict[str, Any]:
    """What the file says."""
    read: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return read


if __name__ == "__main__":
    main(sys.argv[1:])
