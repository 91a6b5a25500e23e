"""Documents of the older format ``workflows/v1``."""

import pytest

from dagrun.domain.document.catalogue import Catalogue, ExecutorKind, TriggerInfo
from dagrun.domain.document.loader import load_document
from dagrun.errors import DefinitionError

CATALOGUE = Catalogue(
    executors={"shell": ExecutorKind(), "lua": ExecutorKind()},
    triggers={"cron": TriggerInfo(), "http": TriggerInfo()},
)
OLD = """
apiVersion: workflows/v1
kind: Workflow
metadata:
  id: old
  version: v1.2.3
  annotations: {owner: me}
spec:
  nodes:
    - id: a
      name: First
      executor: {type: shell, code: "echo hi", config: {cwd: /tmp}}
      metadata: {timeout: 30, retries: 2, team: x}
    - id: b
      dependencies: [a]
      executor: {type: lua, code: "return {}"}
      metadata: {retries: 0}
triggers:
  http: {port: 8080, path: /go, timeout_seconds: 5}
  cron: {schedule: "0 0 * * * *", timezone: UTC, inputs: {a: 1}}
configuration:
  secrets:
    - {name: db, namespace: prod, keys: {password: DB_PASSWORD}, mount_path: /run/db}
    - {name: whole}
  kubernetes: {resource_limits: {cpu: 500m, memory: 1Gi}, labels: {a: b}, service_account: me}
  env: {LEVEL: info}
"""


def load(text):
    return load_document(text, file="old.yaml", catalogue=CATALOGUE)


def problems(text):
    with pytest.raises(DefinitionError) as caught:
        load(text)
    return [(problem.line, problem.path) for problem in caught.value.problems]


def test_an_older_document_has_the_meaning_that_its_keys_promise():
    workflow = load(OLD)
    first, second = workflow.nodes
    assert (workflow.id, workflow.version) == ("old", "1.2.3")
    assert (first.timeout, first.retry.max_attempts, second.retry.max_attempts) == (30.0, 3, 1)
    assert first.executor.options == {"code": "echo hi", "cwd": "/tmp"}
    assert first.metadata == {"name": "First", "team": "x"}
    assert [(t.id, t.type) for t in workflow.triggers] == [("http", "http"), ("cron", "cron")]
    assert workflow.triggers[0].options == {"port": 8080, "path": "/go", "timeout_seconds": 5}
    assert workflow.env == {"LEVEL": "info"}
    assert workflow.secrets == {
        "DB_PASSWORD": "kubernetes:prod/db/password",
        "db": "kubernetes:prod/db",
        "whole": "kubernetes:whole",
    }
    assert workflow.kubernetes["resource_limits"] == {"cpu": "500m", "memory": "1Gi"}
    assert workflow.kubernetes["secret_mounts"][0]["mount_path"] == "/run/db"


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("timeout: 30", "timeout: soon", "spec.nodes[0].metadata.timeout"),
        ("retries: 2", "retries: many", "spec.nodes[0].metadata.retries"),
        ("retries: 2", "retries: -1", "spec.nodes[0].metadata.retries"),
        ("config: {cwd: /tmp}", "config: 3", "spec.nodes[0].executor.config"),
        ("config: {cwd: /tmp}", "config: {code: x}", "spec.nodes[0].executor.config.code"),
        ("http: {port: 8080, path: /go, timeout_seconds: 5}", "http: 3", "triggers.http"),
        ("http:", "moon:", "triggers.moon"),
        ("env: {LEVEL: info}", "env: {LEVEL: 3}", "configuration.env.LEVEL"),
        ("env: {LEVEL: info}", "envs: {}", "configuration.envs"),
        ("cpu: 500m", "gpu: 1", "configuration.kubernetes.resource_limits.gpu"),
        ("cpu: 500m", "cpu: true", "configuration.kubernetes.resource_limits.cpu"),
        ("{name: whole}", "{nam: whole}", "configuration.secrets[1]"),
        ("{name: whole}", "{name: DB_PASSWORD}", "configuration.secrets[1].name"),
        ("labels: {a: b}", "labels: {a: 1}", "configuration.kubernetes.labels.a"),
        ("team: x}", "name: Other}", "spec.nodes[0].metadata.name"),
        (
            "metadata: {retries: 0}",
            "metadata: {retries: 1}\n      retry: {max_attempts: 2}",
            "spec.nodes[1].metadata.retries",
        ),
        ("path: /go,", "path: /go, type: cron,", "triggers.http.type"),
        ("dependencies: [a]", "dependencies: [x]", "spec.nodes[1].dependencies[0]"),
        (
            "metadata: {retries: 0}",
            "metadata: {timeout: 1}\n      timeout: 1",
            "spec.nodes[1].metadata.timeout",
        ),
    ],
)
def test_problems_carry_the_key_paths_of_the_older_document(old, new, path):
    assert OLD.count(old) == 1
    found = problems(OLD.replace(old, new))
    assert path in [place for _, place in found], found
    line = next(line for line, place in found if place == path)
    assert line > 1


@pytest.mark.parametrize("value", ["3", "{secrets: 3}", "{secrets: [3]}"])
def test_a_configuration_that_is_none_is_told_with_its_place(value):
    text = OLD.partition("configuration:")[0] + f"configuration: {value}\n"
    assert [path.partition("[")[0] for _, path in problems(text)] == [
        "configuration.secrets" if "secrets" in value else "configuration"
    ]


def test_what_stands_in_two_places_is_refused():
    twice = OLD.replace("spec:\n", "spec:\n  triggers: {}\n  env: {A: b}\n")
    assert {"triggers", "configuration.env"} <= {path for _, path in problems(twice)}


def test_config_of_the_executor_of_a_handler_is_taken_too():
    handled = OLD.replace(
        "triggers:\n",
        "  handlers:\n"
        "    exit: {executor: {type: shell, config: {code: echo}}}\n"
        "    failure: {executor: {type: lua}}\n"
        "triggers:\n",
    )
    handlers = load(handled).handlers
    assert handlers["exit"].executor.options == {"code": "echo"}
    assert handlers["failure"].executor.options == {}
    (problem,) = problems(handled.replace("{code: echo}", "3"))
    assert problem[1] == "spec.handlers.exit.executor.config"
    found = problems(handled.replace("failure: {executor", "failure: {exec"))
    assert "spec.handlers.failure.exec" in [path for _, path in found]


def test_an_object_of_kubernetes_may_begin_with_a_digit_and_have_no_namespace():
    text = OLD.replace("{name: whole}", "{name: 1db, namespace: null}")
    assert load(text).secrets["1db"] == "kubernetes:1db"
