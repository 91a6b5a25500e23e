import time

import pytest

from dagrun.domain.document.catalogue import Catalogue, ExecutorKind, TriggerInfo
from dagrun.domain.document.loader import load_document
from dagrun.errors import DefinitionError
from dagrun.plugin.loading import load_plugins
from dagrun.testing.programs import call
from dagrun.testing.triggers import TriggerSuite
from dagrun_cron.options import CronOptions
from dagrun_cron.schedule import complaint
from dagrun_cron.trigger import CronKind

CATALOGUE = Catalogue(
    executors={"noop": ExecutorKind()},
    triggers={"cron": TriggerInfo(options=CronOptions, check=CronKind().check)},
)
DOCUMENT = """\
apiVersion: dagrun/v1
kind: Workflow
metadata: {id: w, version: 1.0.0}
spec:
  nodes:
    - {id: a, executor: {type: noop}}
  triggers:
"""


class TestCron(TriggerSuite):
    def make_kind(self):
        return CronKind()

    def right(self):
        daily = {"schedule": "@daily"}
        return daily, daily | {"start": "2030-01-01", "inputs": {"day": "${trigger.due}"}}

    def wrong(self):
        daily = {"schedule": "@daily"}
        return [
            ({"schedule": "61 * * * *"}, "schedule"),
            ({"schedule": "*," * 6000}, "schedule"),
            (daily | {"timezone": "Mars/Olympus"}, "timezone"),
            (daily | {"inputs": {"day": "${nodes.a}"}}, "inputs"),
            (daily | {"catch_up_limit": 5}, "catch_up_limit"),
            (daily | {"jitter": "soon"}, "jitter"),
            (daily | {"start": "tomorrow"}, "start"),
        ]


def load(trigger):
    return load_document(DOCUMENT + f"    - {trigger}\n", file="w.yaml", catalogue=CATALOGUE)


def problem(trigger):
    with pytest.raises(DefinitionError) as caught:
        load(trigger)
    (only,) = caught.value.problems
    return only


@pytest.mark.parametrize(
    "schedule",
    [
        "0 0 * * *",
        "*/5 0 0 * * *",
        "0 0 29 2 *",
        "0 0 L * *",
        "0 9 * * MON-FRI",
        "0 0 * 2 1#5",
        "0 0 1 MAR *",
        "@daily",
    ],
)
def test_a_schedule_that_comes_is_right(schedule):
    assert complaint(schedule) is None


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("61 * * * *", "out of range"),
        ("* * * *", "has 4 fields"),
        ("0 0 0 * * * 2030", "has 7 fields"),
        ("*/0 * * * *", "step '0'"),
        ("0 0 31 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("*," * 6000, "12000 characters"),
        ("R * * * *", "random"),
        ("H H * * *", "random"),
        ("@sometimes", "none of @yearly"),
        ("", "has 0 fields"),
        ("a b c d e", "no schedule"),
        ("٣ * * * *", "no schedule"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_at_once_with_the_reason(schedule, reason):
    begin = time.process_time()
    assert reason in complaint(schedule)
    assert time.process_time() - begin < 0.5


def test_a_wrong_schedule_is_told_with_its_place():
    found = problem('{type: cron, schedule: "61 * * * *"}')
    assert (found.file, found.line, found.column) == ("w.yaml", 8, 30)
    assert found.path == "spec.triggers[0].schedule"


@pytest.mark.parametrize(
    ("options", "path", "reason"),
    [
        ("timezone: Mars/Olympus", "timezone", "no time zone 'Mars/Olympus'"),
        ("timezone: ../../etc/passwd", "timezone", "no time zone"),
        ("timezone: Europe", "timezone", "no time zone 'Europe'"),
        ("timezone: ''", "timezone", "no time zone ''"),
        ("catch_up: some", "catch_up", "none of none, latest, all"),
        ("catch_up_limit: 5", "catch_up_limit", "no effect"),
        ("catch_up: all, catch_up_limit: 0", "catch_up_limit", "from 1 to"),
        ("overlap: alow", "overlap", "none of allow"),
        ("jitter: soon", "jitter", "no duration"),
        ("start: tomorrow", "start", "no time"),
        ("start: 2030-01-02, end: 2030-01-01T00:00:00Z", "end", "never fire"),
        ("paused: 'yes'", "paused", "true or false"),
        ("inputs: {_trigger_id: 1}", "inputs", "reserved"),
        ("inputs: {day: '${nodes.a}'}", "inputs", "unknown name 'nodes'"),
        ("dst: twice", "dst", "none of shift, skip"),
        ("timezon: UTC", "timezon", "not known"),
    ],
)
def test_a_wrong_option_is_told_with_its_path(options, path, reason):
    found = problem(f'{{type: cron, schedule: "0 0 * * *", {options}}}')
    assert found.path == f"spec.triggers[0].{path}"
    assert reason in found.message
    assert found.line == 8


def test_every_option_of_the_reference_is_taken():
    trigger = load(
        '{id: nightly, type: cron, schedule: "0 0 2 * * *", timezone: Europe/Berlin, '
        'inputs: {day: "${trigger.due}"}, catch_up: all, catch_up_limit: 10, overlap: queue, '
        "jitter: 30s, start: 2030-01-01T00:00:00Z, end: 2031-01-01, paused: true, dst: skip}"
    ).triggers[0]
    assert trigger.id == "nightly"
    assert CronOptions(**trigger.options).jitter == "30s"


def test_several_wrong_options_are_told_together():
    with pytest.raises(DefinitionError) as caught:
        load('{type: cron, schedule: "* *", timezone: Nowhere}')
    assert [p.path for p in caught.value.problems] == [
        "spec.triggers[0].schedule",
        "spec.triggers[0].timezone",
    ]


def test_the_plugin_is_found_through_its_entry_point():
    registry = load_plugins().registry
    assert registry.triggers.get("cron") is CronKind


def test_importing_the_plugin_leaves_croniter_alone(tmp_path):
    code = "import sys, dagrun_cron; sys.exit('croniter' in sys.modules)"
    assert call("-c", code, folder=tmp_path).returncode == 0
