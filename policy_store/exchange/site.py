"""Static sites that serve the policy of one domain: their files, as each host of static sites wants them, and writing
them.
"""

import json
from pathlib import Path
from typing import Literal

from policy_store.exchange.targets import whole
from policy_store.names import policy_host
from policy_store.policy import Policy, PolicySyntaxError

type SiteHost = Literal["static-web-apps", "github-pages"]

POLICY_PATH = ".well-known/mta-sts.txt"  # RFC 8461 section 3.3
CNAME = "CNAME"

# The task never builds, and takes an app_location only with an index.html in it:
# https://learn.microsoft.com/azure/static-web-apps/build-configuration
_PIPELINE = """\
# The deployment token of the static web app is the secret variable deployment_token of this pipeline.
trigger:
  - main

pool:
  vmImage: ubuntu-latest

steps:
  - task: AzureStaticWebApp@0
    inputs:
      app_location: home
      skip_app_build: true
      skip_api_build: true
      azure_static_web_apps_api_token: $(deployment_token)
"""

# Without routes and navigationFallback nothing is redirected, and a path that is not there is a 404:
# https://learn.microsoft.com/azure/static-web-apps/configuration
_CONFIG = {
    "mimeTypes": {".txt": "text/plain; charset=utf-8"},
    "globalHeaders": {"X-Content-Type-Options": "nosniff"},
}

_INDEX = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{host}</title>
<p>This host serves the <a href="{path}">MTA-STS policy</a> of {domain}.</p>
</html>
"""


def site_files(domain: str, policy: Policy, host: SiteHost) -> dict[str, str]:
    """The files by their paths in the site's repository; the policy text keeps its line ends on the way through git."""
    home = "home/" if host == "static-web-apps" else ""
    files = {
        ".gitattributes": f"{home}{POLICY_PATH} -text\n",
        f"{home}index.html": _INDEX.format(host=policy_host(domain), path=POLICY_PATH, domain=domain),
    }
    if host == "static-web-apps":
        files["azure-pipelines.yml"] = _PIPELINE
        files[f"{home}staticwebapp.config.json"] = json.dumps(_CONFIG, indent=2) + "\n"
    else:
        files[".nojekyll"] = ""  # Jekyll leaves out folders that begin with a dot
        files[CNAME] = f"{policy_host(domain)}\n"
    return files | {f"{home}{POLICY_PATH}": policy.text}


class SiteRefused(Exception):
    """A site is not written; the message says why and what to do."""


def write_site(folder: Path, domain: str, policy: Policy, host: SiteHost) -> list[str]:
    """Write the files that are missing, and a new policy text over an old one; what was done, a sentence for each file.

    Raises SiteRefused, before anything is written, where the folder serves something else, and OSError.
    """
    files = site_files(domain, policy, host)
    there = {path: _content(folder / path) for path in files}
    for path, content in there.items():
        _refuse_foreign(folder / path, content, files[path])
    lines = []
    for path, content in there.items():
        if content is None or (path.endswith(POLICY_PATH) and content != files[path].encode()):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with whole(folder / path, force=True) as file:
                file.write(files[path])
            lines.append(f"{folder / path} is written")
        elif content != files[path].encode():
            lines.append(f"{folder / path} is kept, though it differs: to have it written, remove it")
    return lines


def _content(path: Path) -> bytes | None:
    """What the file holds; None where there is none. Raises OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _refuse_foreign(path: Path, content: bytes | None, wanted: str) -> None:
    """Raise SiteRefused where the folder is the site of another domain, or its policy text is not a policy."""
    if content is None:
        return
    if path.name == CNAME and content.strip().lower() != wanted.strip().encode():
        raise SiteRefused(f"{path} names another host than {wanted.strip()}: write to another folder")
    if path.match(POLICY_PATH):
        try:
            Policy.parse(content)
        except PolicySyntaxError as error:
            raise SiteRefused(f"{path} is not a policy and was left unchanged: move it away") from error
