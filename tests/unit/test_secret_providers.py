"""The built-in providers do what the port says, and read nothing else."""

import os

import pytest

from dagrun.builtin.secrets import EnvSecrets, FileSecrets
from dagrun.domain.secret_forms import MAX_VALUE
from dagrun.errors import SecretError
from dagrun.plugin.loading import load_plugins
from dagrun.testing.secrets import SecretsSuite


class TestEnv(SecretsSuite):
    @pytest.fixture(autouse=True)
    def _environment(self):
        self.environ = {}

    def provider(self, folder):
        return EnvSecrets(environ=self.environ)

    def put(self, folder, name, value):
        self.environ[f"DAGRUN_SECRET_{name}"] = value
        return name


class TestFile(SecretsSuite):
    def provider(self, folder):
        return FileSecrets(secrets_dir=folder)

    def put(self, folder, name, value):
        (folder / "of-mine").mkdir(exist_ok=True)
        (folder / "of-mine" / name).write_text(value)
        return f"of-mine/{name}"


async def refusal(provider, reference):
    with pytest.raises(SecretError) as caught:
        await provider.get(reference)
    return str(caught.value)


async def test_a_document_reads_no_variable_of_the_operator(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the operator")
    monkeypatch.setenv("DAGRUN_SECRET_API_KEY", "for documents")
    assert await EnvSecrets().get("API_KEY") == "for documents"
    assert await refusal(EnvSecrets(), "AWS_SECRET_ACCESS_KEY") == (
        "the variable DAGRUN_SECRET_AWS_SECRET_ACCESS_KEY is not set"
    )
    assert "is not set" in await refusal(EnvSecrets(), "HOME")


async def test_without_a_directory_no_file_is_read():
    assert "--secrets-dir" in await refusal(FileSecrets(), "passwd")


@pytest.mark.parametrize(
    ("held", "given"),
    [
        ("value\n", "value"),
        ("value\r\n", "value"),
        ("value\n\n", "value\n"),
        ("value\r", "value\r"),
    ],
)
async def test_one_line_break_at_the_end_of_a_file_is_the_editors(tmp_path, held, given):
    (tmp_path / "key").write_bytes(held.encode())
    assert await FileSecrets(secrets_dir=tmp_path).get("key") == given


async def test_links_as_kubernetes_makes_them_are_followed(tmp_path):
    first, second = tmp_path / "..2026_01_01", tmp_path / "..2026_02_02"
    for folder, value in [(first, "january"), (second, "february")]:
        folder.mkdir()
        (folder / "password").write_text(value)
    (tmp_path / "..data").symlink_to(first.name)
    (tmp_path / "password").symlink_to("..data/password")
    provider = FileSecrets(secrets_dir=tmp_path)
    assert await provider.get("password") == "january"
    (tmp_path / "..tmp").symlink_to(second.name)
    (tmp_path / "..tmp").replace(tmp_path / "..data")
    assert await provider.get("password") == "february"
    assert "no path below" in await refusal(provider, "..data/password")


async def test_the_directory_itself_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "key").write_text("value")
    (tmp_path / "link").symlink_to("real")
    assert await FileSecrets(secrets_dir=tmp_path / "link").get("key") == "value"


async def test_a_link_out_of_the_directory_is_not_followed(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets-of-others").mkdir()
    (tmp_path / "secrets-of-others" / "key").write_text("not for documents")
    (tmp_path / "secrets" / "file").symlink_to("../secrets-of-others/key")
    (tmp_path / "secrets" / "folder").symlink_to("../secrets-of-others")
    provider = FileSecrets(secrets_dir=tmp_path / "secrets")
    for reference in ("file", "folder/key"):
        assert "leaves the directory" in await refusal(provider, reference)


async def test_what_is_no_regular_file_is_refused_and_nothing_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    provider = FileSecrets(secrets_dir=tmp_path)
    for reference in ("pipe", "folder"):
        assert "no regular file" in await refusal(provider, reference)


async def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path):
    (tmp_path / "large").write_text("x" * MAX_VALUE + "xyz")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "full").write_text("x" * MAX_VALUE + "\n")
    provider = FileSecrets(secrets_dir=tmp_path)
    assert "more than 65536 bytes" in await refusal(provider, "large")
    assert "no UTF-8" in await refusal(provider, "binary")
    assert await provider.get("full") == "x" * MAX_VALUE


async def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)
    message = await refusal(FileSecrets(secrets_dir=tmp_path), "key")
    assert message == f"{tmp_path / 'key'}: Permission denied"


def test_the_providers_are_on_their_shelf():
    registry = load_plugins().registry
    assert {entry.name for entry in registry.secrets} >= {"env", "file"}
