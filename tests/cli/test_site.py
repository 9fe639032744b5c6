"""site: what it writes is served by a static server, taken by real senders, kept by git, and overwrites nothing."""

import http.client
import subprocess
from pathlib import Path

import pytest
import yaml
from azure.data.tables import TableClient

from policy_store.policy import Policy
from policy_store.tables.row import Row
from policy_store.tables.store import Store
from tests.cli.conftest import Run
from tests.cli.static_server import static_server
from tests.end_to_end.senders.asking import RUNNERS, SenderWorld

_POLICIES = {
    "contoso.com": Policy(mode="enforce", mx=("*.mail.protection.outlook.com", "mx1.contoso.com"), max_age=1209600),
    "xn--bcher-kva.example": Policy(mode="testing", mx=("mx.example.com",), max_age=604800),
}
_TEXT = ".well-known/mta-sts.txt"
_HOMES = {"static-web-apps": "home", "github-pages": ""}


@pytest.fixture
def ids(store: Store) -> dict[str, str]:
    """The id of each domain's revision."""
    rows = {domain: store.policies.add(domain, policy) for domain, policy in _POLICIES.items()}
    return {domain: store.history.record(row, store.policies, by="ada").id for domain, row in rows.items()}


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class TestServed:
    @pytest.mark.parametrize("host", _HOMES)
    def test_real_senders_accept_what_a_static_server_serves(
        self, run: Run, ids: dict[str, str], tmp_path: Path, host: str
    ) -> None:
        done = run("site", *ids, "--out", str(tmp_path), "--for", host)
        assert done.exit_code == 0, done.output
        records = {f"mta-sts.{domain}": {"A": ["127.0.0.1"]} for domain in ids}
        records |= {f"_mta-sts.{domain}": {"TXT": [f"v=STSv1; id={id_};"]} for domain, id_ in ids.items()}
        folders = {f"mta-sts.{domain}": tmp_path / domain / _HOMES[host] for domain in ids}
        with static_server(folders) as port, SenderWorld(records, ("127.0.0.1", port)) as world:
            answers = {sender: world.ask(sender, ids) for sender in RUNNERS}
        expected = {
            domain: {"id": ids[domain], "mode": policy.mode, "mx": list(policy.mx), "max_age": policy.max_age}
            for domain, policy in _POLICIES.items()
        }
        assert answers == dict.fromkeys(RUNNERS, expected)

    @pytest.mark.usefixtures("ids")
    def test_the_configuration_gives_the_text_its_type_and_leaves_no_fallback(self, run: Run, tmp_path: Path) -> None:
        run("site", "contoso.com", "--out", str(tmp_path))
        with static_server({"mta-sts.contoso.com": tmp_path / "contoso.com" / "home"}) as port:
            got = {path: _get(port, path) for path in (f"/{_TEXT}", "/", "/another", "/staticwebapp.config.json")}
        status, headers, body = got[f"/{_TEXT}"]
        assert (status, body) == (200, _POLICIES["contoso.com"].text.encode())
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert [got[path][0] for path in ("/", "/another", "/staticwebapp.config.json")] == [200, 404, 404]


def _get(port: int, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": "mta-sts.contoso.com"})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.usefixtures("ids")
class TestFiles:
    def test_each_host_gets_what_it_wants_and_nothing_else(self, run: Run, tmp_path: Path) -> None:
        azure, github = tmp_path / "azure", tmp_path / "github"
        run("site", "contoso.com", "--out", str(azure))
        run("site", "contoso.com", "--out", str(github), "--for", "github-pages")
        assert _files(azure / "contoso.com") == {
            *(".gitattributes", "azure-pipelines.yml", "home/index.html", "home/staticwebapp.config.json"),
            f"home/{_TEXT}",
        }
        assert _files(github / "contoso.com") == {".gitattributes", ".nojekyll", "CNAME", "index.html", _TEXT}
        assert (github / "contoso.com" / "CNAME").read_text() == "mta-sts.contoso.com\n"

    def test_the_pipeline_deploys_home_unbuilt_with_a_token_that_is_a_variable(self, run: Run, tmp_path: Path) -> None:
        run("site", "contoso.com", "--out", str(tmp_path))
        pipeline = yaml.safe_load((tmp_path / "contoso.com" / "azure-pipelines.yml").read_text())
        (step,) = pipeline["steps"]
        assert step == {
            "task": "AzureStaticWebApp@0",
            "inputs": {
                "app_location": "home",
                "skip_app_build": True,
                "skip_api_build": True,
                "azure_static_web_apps_api_token": "$(deployment_token)",
            },
        }

    @pytest.mark.parametrize("host", _HOMES)
    @pytest.mark.parametrize("crlf", ["true", "input", "false"])
    def test_git_keeps_the_octets_of_the_text(self, run: Run, tmp_path: Path, host: str, crlf: str) -> None:
        run("site", "contoso.com", "--out", str(tmp_path), "--for", host)
        folder, copy = tmp_path / "contoso.com", tmp_path / "copy"
        git = ("git", "-c", f"core.autocrlf={crlf}", "-c", "user.name=ada", "-c", "user.email=ada@contoso.com")
        for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "the site"), ("clone", "-q", ".", str(copy))):
            subprocess.run([*git, *words], cwd=folder, check=True, capture_output=True)
        assert (copy / _HOMES[host] / _TEXT).read_bytes() == _POLICIES["contoso.com"].text.encode()


@pytest.mark.parametrize("host", _HOMES)
@pytest.mark.usefixtures("ids")
def test_import_reads_the_sites_back(run: Run, store: Store, tmp_path: Path, host: str) -> None:
    run("site", *_POLICIES, "--out", str(tmp_path), "--for", host)
    for row in list(store.policies.rows()):
        store.policies.delete(row.domain, row.etag)
    done = run("import", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert {row.domain: row.policy for row in store.policies.rows() if isinstance(row, Row)} == _POLICIES


@pytest.mark.usefixtures("ids")
class TestWhatIsThere:
    def test_after_an_edit_only_the_text_is_written(self, run: Run, store: Store, tmp_path: Path) -> None:
        run("site", "contoso.com", "--out", str(tmp_path))
        row = store.policies.get("contoso.com")
        assert row
        policy = row.policy.model_copy(update={"max_age": 86400})
        store.policies.replace("contoso.com", row.etag, policy)
        done = run("site", "contoso.com", "--out", str(tmp_path))
        text = tmp_path / "contoso.com" / "home" / _TEXT
        assert (done.exit_code, done.stdout) == (0, f"{text} is written\n")
        assert text.read_bytes() == policy.text.encode()
        assert run("site", "contoso.com", "--out", str(tmp_path)).stdout == "0 changed, 1 unchanged, 0 refused\n"

    def test_a_file_that_differs_is_kept_and_told(self, run: Run, tmp_path: Path) -> None:
        pipeline = tmp_path / "contoso.com" / "azure-pipelines.yml"
        pipeline.parent.mkdir()
        pipeline.write_text("my own\n")
        done = run("site", "contoso.com", "--out", str(tmp_path))
        assert done.exit_code == 0
        assert f"{pipeline} is kept, though it differs: to have it written, remove it" in done.stdout
        assert pipeline.read_text() == "my own\n"

    @pytest.mark.parametrize(("name", "reason"), [(_TEXT, "is not a policy"), ("CNAME", "names another host")])
    def test_a_folder_that_serves_something_else_is_left_alone(
        self, run: Run, tmp_path: Path, name: str, reason: str
    ) -> None:
        file = tmp_path / "contoso.com" / name
        file.parent.mkdir(parents=True)
        file.write_text("www.contoso.com\n")
        done = run("site", "contoso.com", "--out", str(tmp_path), "--for", "github-pages")
        assert done.exit_code == 1
        assert f"{file} {reason}" in done.stderr
        assert _files(tmp_path) == {f"contoso.com/{name}"}
        assert file.read_text() == "www.contoso.com\n"

    def test_a_file_in_place_of_the_folder_is_one_sentence(self, run: Run, tmp_path: Path) -> None:
        out = tmp_path / "taken"
        out.write_text("a file")
        done = run("site", "contoso.com", "--out", str(out))
        assert done.exit_code == 1
        assert "cannot be read or written: Not a directory." in done.stderr


@pytest.mark.usefixtures("ids")
def test_a_domain_without_a_policy_does_not_stop_the_others(
    run: Run, tables: tuple[TableClient, TableClient], tmp_path: Path
) -> None:
    broken = {"PartitionKey": "xn--bcher-kva.example", "RowKey": "policy", "mode": "enforced"}
    tables[0].update_entity(broken)
    done = run("site", "bücher.example", "fabrikam.com", "contoso.com", "--out", str(tmp_path))
    assert done.exit_code == 1
    assert "xn--bcher-kva.example: its row is not a policy: " in done.stderr
    assert "fabrikam.com: it has no row: 'mta-sts add fabrikam.com' makes one." in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"contoso.com"}
