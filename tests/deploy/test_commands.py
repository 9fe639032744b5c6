"""Every command for the Azure CLI that the project prints or writes down is one that the Azure CLI takes."""

import re
from collections.abc import Iterator
from pathlib import Path

from policy_store.azure.binding import App, HostDns, Step, azure_dns, binding, unbinding
from policy_store.dns_records import records_to_bind, records_to_publish
from tests.checkout import tracked
from tests.deploy.conftest import Parse
from tests.doc_lines import commands, words
from tests.infra.test_pipelines import TREES, scripts

_ROOT = Path(__file__).parents[2]
_HOST = "mta-sts.contoso.com"
_SITE = {"defaultHostName": "app.azurewebsites.net", "customDomainVerificationId": "ABC123"}
_MARK = "A" * 40
_INLINE = re.compile(r"`(az [a-z][^`]* -[^`]*)`")  # with flags, so that it is a command and no name of one
_PAGES = [_ROOT / "README.md", *tracked("docs/*.md")]


def words_of(script: str) -> Iterator[list[str]]:
    """The words after `az` of each command in a script, those in `$(...)` too."""
    for _, command in commands("az", f"```sh\n{script}\n```"):
        yield words(command)[1:]


def printed() -> Iterator[Step | str]:
    """What `bind`, `unbind` and `dns show --format az` can print."""
    for sku in ("Basic", "FlexConsumption"):
        state = {"name": _HOST, "thumbprint": _MARK}
        new = App.read("contoso-sts", "mta-sts", {**_SITE, "sku": sku})
        bound = App.read("contoso-sts", "mta-sts", {**_SITE, "sku": sku, "hostNameSslStates": [state]})
        bound = bound.with_certificates([{"name": _HOST, "thumbprint": _MARK}])
        yield from binding("contoso.com", new, HostDns(), room=1).steps
        yield from binding("contoso.com", new, HostDns(), thumbprint=_MARK, room=1).steps
        yield from unbinding("contoso.com", bound, HostDns(), force=False).steps
        yield Step(new.certificate_command("list"))
    yield Step(("functionapp", "show", "-g", "mta-sts", "-n", "contoso-sts"))
    for record in records_to_bind("contoso.com", app_host="app.azurewebsites.net", verification_id="ABC123"):
        yield azure_dns(record, "the zones")
    for record in records_to_publish(
        "contoso.com", policy_id="1", not_before=None, app_host="a.example", rua=("mailto:a@b.example",)
    ):
        yield record.az_command('"$RESOURCE_GROUP"')


def test_what_is_printed_is_taken(parse: Parse) -> None:
    lines = dict.fromkeys(item if isinstance(item, str) else item.text() for item in printed())
    taken = list(words_of("\n".join(lines)))
    assert len(taken) > 2 * len({"add", "create", "bind", "show", "unbind", "delete", "list"})
    assert dict(zip(map(" ".join, taken), parse(taken), strict=True)) == dict.fromkeys(map(" ".join, taken))


def written() -> Iterator[tuple[str, list[str]]]:
    """The commands in the pages and in the pipelines, each with its place."""
    for page in _PAGES:
        text = page.read_text(encoding="utf-8")
        for number, command in commands("az", text):
            yield f"{page.name}:{number}", words(command)[1:]
        for command in _INLINE.findall(text):
            yield f"{page.name}: {command}", words(command)[1:]
    for name in TREES:
        for found in words_of("\n".join(scripts(name))):
            yield name, found


def test_what_is_written_down_is_taken(parse: Parse) -> None:
    found = list(written())
    assert {place.partition(":")[0] for place, _ in found} >= {"README.md", "deploy.md", *TREES}
    answers = zip(found, parse([taken for _, taken in found]), strict=True)
    assert [(place, " ".join(taken), said) for (place, taken), said in answers if said] == []


def test_a_flag_that_is_wrong_or_missing_is_found(parse: Parse) -> None:
    """Each command that binds, with each of its flags misspelt, or left out with its value where it is needed."""
    todo = binding("contoso.com", App.read("contoso-sts", "mta-sts", _SITE), HostDns(), room=1)
    slips = []
    for step in todo.steps:
        for at, word in enumerate(step.words):
            if word.startswith("-"):
                slips.append([*step.words[:at], f"{word}x" if word.startswith("--") else "-x", *step.words[at + 1 :]])
                slips.append([*step.words[:at], *step.words[at + 2 :]])
    taken = [" ".join(words) for words, wrong in zip(slips, parse(slips), strict=True) if wrong is None]
    # The host name of `ssl bind` may be left out: the Azure CLI then binds what the certificate is for.
    assert taken == [
        "functionapp config ssl bind -g mta-sts -n contoso-sts --ssl-type SNI --certificate-thumbprint <thumbprint>"
    ]
