"""Nodes of every kind get secrets, give them away as best they can, and nothing shows them."""

import json
import os
import subprocess
import sys
from hashlib import sha256

import pytest

from dagrun.testing.programs import until
from dagrun.testing.secrets import ENCODERS

HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:"
API_KEY = "sk-pa\"ss/w+rd='é😀' %41\\"
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBK\nc2hvcnQ\n-----END KEY-----\n"
SHOWN = [API_KEY, *PEM.split("\n")[:2]]  # the values, and lines that are secrets by themselves

PYTHON = """
import glob, hashlib, os, sys, time
from dagrun.testing.secrets import ENCODERS
key, pem = os.environ["API_KEY"], os.environ["PEM"]
for name, encode in sorted(ENCODERS.items()):
    for text in (encode(key), encode(pem), *map(encode, pem.split("\\n")[:2])):
        for stream, size in ((sys.stdout, 7), (sys.stderr, 11)):
            for at in range(0, len(text), size):
                stream.write(text[at:at + size])
                stream.flush()
                if name in ("plain", "base64") and at < 20:
                    time.sleep(0.01)
            stream.write(".\\n")
            stream.flush()

def holds(path):
    try:
        data = open(path, "rb").read()
    except OSError:
        return False
    return key.encode() in data or pem.split("\\n")[1].encode() in data

data = os.path.dirname(os.path.dirname(os.getcwd()))
outputs = {
    "digest": hashlib.sha256((key + pem).encode()).hexdigest(),
    "lists": [[encode(key), encode(pem)] for encode in ENCODERS.values()],
    key: {encode(key): encode(key) for encode in ENCODERS.values()},
    "on_disk": [p for p in glob.glob(data + "/**", recursive=True, include_hidden=True) if holds(p)],
    "in_process_list": [p for p in glob.glob("/proc/[0-9]*/cmdline") if holds(p)],
}
"""

SHELL = """
printf '%s' "$API_KEY" | python3 -c 'import sys; t = sys.stdin.read(); print(t[:5], end="", flush=True)'
sleep 0.05
printf '%s\\n' "$API_KEY" | cut -c6-
printf '%s' "$API_KEY" | base64 -w 0
printf 'user:%s' "$API_KEY" | base64
printf '%s' "$PEM" | base64
echo "url $URL" >&2
cat
printf '{"key": "%s", "pem": "%s"}' "$SIMPLE" "$(printf %s "$PEM" | base64 -w 0)" > "$DAGRUN_OUTPUT"
"""

LUA = """
for _, value in pairs(secrets) do
  print(value)
  log.error("it is " .. value)
  print(json.encode({value = value, nested = json.encode(value)}))
  print((value:gsub("[^A-Za-z0-9]", function(c) return ("%%%02X"):format(c:byte()) end)))
end
return {all = secrets, text = json.encode(secrets)}
"""

SPEC = {
    "secrets": {"API_KEY": "env:API_KEY", "PEM": "file:tls/key", "SIMPLE": "env:SIMPLE"},
    "outputs": {"all": "${nodes.python}", "lua": "${nodes.lua}"},
    "nodes": [
        {"id": "python", "executor": {"type": "python", "code": PYTHON}},
        {"id": "lua", "executor": {"type": "lua", "code": LUA}},
        {
            "id": "shell",
            "executor": {
                "type": "shell",
                "code": SHELL,
                "env": {"URL": "https://me:$secret{API_KEY}@host/"},
                "stdin": "key=$secret{API_KEY}\n$secret{PEM}",
            },
        },
        {
            "id": "raises",
            "allow_failure": True,
            "retry": {"max_attempts": 2, "first_delay": 0},
            "executor": {
                "type": "python",
                "code": "import os\nkey = os.environ['API_KEY']\n"
                "raise type('Bad' + key, (Exception,), {})({'key': key, 'pem': os.environ['PEM']})",
            },
        },
        {
            "id": "exits",
            "allow_failure": True,
            "executor": {"type": "shell", "code": 'echo "denied: $API_KEY"; exit 3'},
        },
        {
            "id": "errs",
            "allow_failure": True,
            "executor": {"type": "lua", "code": "error(secrets.API_KEY .. secrets.PEM)"},
        },
        {
            "id": "each",
            "dependencies": ["python"],
            "for_each": "${nodes.python.lists[1]}",
            "executor": {
                "type": "shell",
                "command": ["sh", "-c", 'echo "$1 $API_KEY"', "sh", "${item}"],
            },
        },
    ],
}


@pytest.fixture
def dagrun(tmp_path):
    """Call the command where the operator has provided the secrets."""
    mounted, version = tmp_path / "mounted" / "tls", tmp_path / "mounted" / "tls" / "..2026_01_01"
    version.mkdir(parents=True)
    (version / "key").write_text(PEM)
    (mounted / "..data").symlink_to(version.name)
    (mounted / "key").symlink_to("..data/key")
    secrets = {"DAGRUN_SECRET_API_KEY": API_KEY, "DAGRUN_SECRET_SIMPLE": "simple-secret-4711"}

    def call(*arguments, **environ):
        return subprocess.run(
            [sys.executable, "-m", "dagrun", *map(str, arguments)],
            capture_output=True,
            cwd=tmp_path,
            env={
                **os.environ,
                **secrets,
                "DAGRUN_DATA_DIR": str(tmp_path / "data"),
                "DAGRUN_SECRETS_DIR": str(tmp_path / "mounted"),
                **environ,
            },
            timeout=60,
            check=False,
        )

    return call


@pytest.fixture
def write(tmp_path):
    def make(spec):
        file = tmp_path / "w.yaml"
        file.write_text(
            f"{HEAD}\n{spec}" if isinstance(spec, str) else f"{HEAD} {json.dumps(spec)}"
        )
        return file

    return make


def leaks(data):
    """Give the names of the forms of secrets that are in some bytes."""
    forms = {
        (name, text[:8]): encode(text).rstrip("=").removesuffix("%3D").removesuffix("%3D").encode()
        for name, encode in ENCODERS.items()
        for text in (*SHOWN, "simple-secret-4711")
    }
    return [name for name, form in forms.items() if form in data]


def everything_below(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_secret_is_in_what_a_run_leaves_or_prints(dagrun, write, tmp_path):
    file = write(SPEC)
    done = dagrun("run", file, "--json")
    assert done.returncode == 0, (done.stderr, done.stdout)
    result = json.loads(done.stdout)
    run_id = result["run_id"]
    shown = dagrun("runs", "show", run_id, "--json")
    logs = dagrun("runs", "logs", run_id)
    (tmp_path / "printed").mkdir()
    for number, call in enumerate([done, shown, logs]):
        (tmp_path / "printed" / f"{number}.out").write_bytes(call.stdout)
        (tmp_path / "printed" / f"{number}.err").write_bytes(call.stderr)
    left = everything_below(tmp_path / "data") | everything_below(tmp_path / "printed")
    assert len([name for name in left if name.endswith(".log")]) >= 8
    assert {name: found for name, data in left.items() if (found := leaks(data))} == {}
    assert logs.stdout.count(b"***") > 100

    python = result["outputs"]["all"]
    assert python["digest"] == sha256((API_KEY + PEM[:-1]).encode()).hexdigest()
    assert python["on_disk"] == python["in_process_list"] == []
    assert python["lists"][0][0] == "***"
    assert result["outputs"]["lua"]["all"]["API_KEY"] == "***"
    nodes = {node["id"]: node for node in result["nodes"]}
    assert nodes["raises"]["error"]["type"] == "Bad***"
    assert nodes["raises"]["attempts"] == 2
    assert nodes["exits"]["error"]["message"] == "exit code 3: denied: ***"
    assert nodes["errs"]["error"]["message"].startswith("errs:1: ***")
    assert nodes["shell"]["outputs"]["key"] == "***"
    assert b"https://me:***@host/" in logs.stdout
    assert b"key=***\n***\n" in logs.stdout


def test_the_search_of_this_file_would_find_them(dagrun, write, tmp_path):
    spec = {"nodes": [node for node in SPEC["nodes"] if node["id"] == "exits"]}
    leaking = json.dumps(spec).replace("$API_KEY", "simple-secret-4711")
    done = dagrun("run", write(json.loads(leaking)), "--json")
    assert [name for name, _ in leaks(done.stdout)].count("plain") == 1
    assert leaks((tmp_path / "data" / "dagrun.db").read_bytes())
    for name, encode in ENCODERS.items():
        assert name in [found for found, _ in leaks(encode(API_KEY).encode())]


def test_a_secret_of_an_unknown_provider_is_valid_and_refused_by_run(dagrun, write, tmp_path):
    file = write(
        "  secrets: {KEY: 'kubernetes:prod/db/key'}\n"
        "  nodes: [{id: a, executor: {type: shell, command: 'true'}}]\n"
    )
    assert dagrun("validate", file).returncode == 0
    done = dagrun("run", file)
    assert done.returncode == 2
    assert done.stderr == (
        b"dagrun: w takes secrets (KEY) from 'kubernetes', and no such provider is installed; "
        b"installed: env, file\n"
    )
    assert not (tmp_path / "data").exists()


def test_secrets_that_are_missing_are_all_told_before_a_run_starts(dagrun, write, tmp_path):
    (tmp_path / "mounted" / "short").write_text("x~z")
    file = write(
        "  secrets: {SHARED: 'env:SHARED', API_KEY: 'env:API_KEY'}\n"
        "  nodes:\n"
        "    - {id: a, secrets: {K: 'env:HOME'}, executor: {type: shell, command: 'true'}}\n"
        "    - {id: b, secrets: {K: 'file:../w.yaml'}, executor: {type: shell, command: 'true'}}\n"
        "    - {id: c, secrets: {S: 'file:short'}, executor: {type: shell, command: 'true'}}\n"
    )
    said = (
        "w needs secrets that cannot be had: "
        "K (env:HOME): the variable DAGRUN_SECRET_HOME is not set; "
        "K (file:../w.yaml): the reference is no path below the directory of secrets; "
        "S (file:short): it has 3 bytes; below 4 it could not be masked; "
        "SHARED (env:SHARED): the variable DAGRUN_SECRET_SHARED is not set"
    )
    done = dagrun("run", file)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == f"dagrun: {said}\n".encode()
    refused = json.loads(dagrun("run", file, "--json").stdout)
    assert refused == {"error": {"type": "secret", "message": said, "errors": []}}
    assert leaks(done.stderr) == []
    assert b"x~z" not in done.stderr
    assert not (tmp_path / "data").exists()
    assert dagrun("validate", file).returncode == 0


def test_a_secret_that_goes_while_the_run_goes_on_fails_its_node(dagrun, write, tmp_path):
    (tmp_path / "mounted" / "key").write_text("some-value")
    file = write(
        "  nodes:\n"
        f"    - {{id: a, executor: {{type: shell, command: 'rm {tmp_path}/mounted/key'}}}}\n"
        "    - {id: b, dependencies: [a], secrets: {K: 'file:key'},"
        " executor: {type: shell, command: 'true'}}\n"
    )
    done = dagrun("run", file, "--json")
    assert done.returncode == 1
    node = json.loads(done.stdout)["nodes"][1]
    assert node["error"]["type"] == "secret"
    assert node["error"]["message"].startswith("the secret K (file:key) cannot be used: ")


def test_a_run_does_not_go_on_without_its_secrets_and_can_do_so_later(dagrun, write, tmp_path):
    (tmp_path / "mounted" / "first").write_text("first-value")
    kill = f"kill -9 $(cat {tmp_path}/data/owners/*.lock)"
    file = write(
        "  nodes:\n"
        "    - {id: a, secrets: {K: 'file:first'}, executor: {type: shell, command: 'true'}}\n"
        "    - {id: b, dependencies: [a], secrets: {K: 'env:API_KEY'}, executor:"
        f" {{type: shell, command: 'test -e {tmp_path}/go || {kill}; echo $K'}}}}\n"
    )
    dagrun("run", file)
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    assert run["resumable"]
    (tmp_path / "go").touch()
    (tmp_path / "mounted" / "first").unlink()  # its node has ended
    for more in ([], [file]):
        refused = dagrun("run", "--resume", run["run_id"], *more, DAGRUN_SECRET_API_KEY="")
        assert refused.returncode == 2
        assert b"K (env:API_KEY): it has 0 bytes" in refused.stderr
        assert b"first" not in refused.stderr
    assert dagrun("run", "--resume", run["run_id"]).returncode == 0


def test_the_directory_of_secrets_is_a_flag_too(dagrun, write, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "key").write_text("other-value\n")
    file = write(
        "  nodes:\n    - id: a\n      secrets: {K: 'file:key'}\n"
        "      executor: {type: shell, code: 'test \"$K\" = other-value'}\n"
    )
    assert dagrun("run", file, "--secrets-dir", "other").returncode == 0
    assert dagrun("run", file).returncode == 2


def test_a_run_that_goes_on_looks_its_secrets_up_again(dagrun, start, write, tmp_path):
    file = write(
        "  nodes:\n    - id: a\n      secrets: {K: 'env:API_KEY'}\n"
        "      executor: {type: shell, cwd: ., code: 'echo \"<$K>\"; test -e go || sleep 60'}\n"
    )
    first = start("run", file, DAGRUN_SECRET_API_KEY=API_KEY)
    until(lambda: any(b"<***>" in p.read_bytes() for p in tmp_path.glob("data/logs/*/a/1.log")))
    first.kill()
    first.wait()
    (tmp_path / "go").touch()
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    done = dagrun("run", "--resume", run["run_id"], DAGRUN_SECRET_API_KEY="its-successor")
    assert done.returncode == 0, done.stderr
    log = dagrun("runs", "logs", run["run_id"]).stdout
    assert log.count(b"<***>") == 2
    left = b"".join(everything_below(tmp_path / "data").values())
    assert leaks(left) == []
    assert b"its-successor" not in left
