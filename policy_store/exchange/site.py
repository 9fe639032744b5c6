"""The files of a static site that serves the policy of one domain, as each host of static sites wants them."""

import json
from typing import Literal

from policy_store.names import policy_host
from policy_store.policy import Policy

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
