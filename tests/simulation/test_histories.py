"""An orchestrator and its engines under faults, in virtual time: nothing is lost or done twice."""

import os
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from dagrun.testing.simulation import Fault, FaultKind, Script, simulate
from dagrun.testing.simulation.faults import ActionKind, Ask
from dagrun.testing.simulation.scripts import LAST_FAULT, LAST_RUN, LONGEST, random_script
from dagrun.testing.simulation.workload import number_of

SHRUNK = 1000  # histories that Hypothesis makes, and shrinks
DRIVEN = 9000  # histories from seeds
PLAY = (sys.executable, "-m", "dagrun.testing.simulation")

SECONDS = st.integers(0, 1000)
ASKS = st.builds(
    Ask,
    at=SECONDS.map(lambda n: n * LAST_RUN / 1000),
    workflow=st.integers(0, 20),
    action=st.none() | st.sampled_from(ActionKind),
    after=SECONDS.map(lambda n: n * 3 / 1000),
)
FAULTS = st.builds(
    Fault,
    at=SECONDS.map(lambda n: n * LAST_FAULT / 1000),
    kind=st.sampled_from(FaultKind),
    target=st.integers(-1, 2),
    seconds=SECONDS.map(lambda n: n * LONGEST / 1000),
)
SCRIPTS = st.builds(
    Script,
    seed=st.integers(0, 2**32),
    engines=st.integers(1, 3),
    capacity=st.integers(1, 3),
    runs=st.lists(ASKS, min_size=1, max_size=4).map(tuple),
    faults=st.lists(FAULTS, max_size=4).map(tuple),
)
TWO_LIVES = Script(
    seed=0,
    engines=1,
    capacity=1,
    runs=(Ask(at=0.192, workflow=number_of("chain")),) * 2,
    faults=(
        Fault(at=0.0, kind=FaultKind.KILL, target=0, seconds=0.0),
        Fault(at=0.192, kind=FaultKind.KILL, target=0, seconds=0.0),
        Fault(at=0.198, kind=FaultKind.KILL, target=-1, seconds=0.0),
    ),
)
"""An orchestrator finds runs of two lives of one engine in its store."""


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("untraced")
def test_every_accepted_run_ends_as_it_should_whatever_fails():
    @settings(
        max_examples=SHRUNK,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],  # a history takes as long as it does
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    @given(SCRIPTS)
    @example(TWO_LIVES)
    def holds(script):
        assert simulate(script).problems == []

    holds()


def test_an_orchestrator_goes_on_with_the_runs_of_two_lives_of_an_engine():
    history = simulate(TWO_LIVES)
    assert history.problems == []
    epochs = sorted(max(event.epoch for event in journal) for journal in history.journals.values())
    assert epochs == [1, 2]  # one was kept, and that of the earlier life was lost


@pytest.mark.timeout(1200)
def test_seeded_scripts_on_all_processors_find_nothing():
    cores = os.cpu_count() or 1
    borders = [DRIVEN * number // cores for number in range(cores + 1)]
    programs = [
        subprocess.Popen([*PLAY, str(first), str(last)], stdout=subprocess.PIPE, text=True)
        for first, last in pairwise(borders)
    ]
    try:
        assert [program.communicate()[0] for program in programs] == [""] * cores
        assert [program.returncode for program in programs] == [0] * cores
    finally:
        for program in programs:
            program.kill()
            program.wait()


def test_a_history_is_played_the_same_each_time():
    first, second = simulate(random_script(3)), simulate(random_script(3))
    assert first.lines == second.lines
    assert first.journals == second.journals


def test_random_scripts_hand_runs_over_and_start_many_nodes_that_end_and_some_that_do_not():
    histories = [simulate(random_script(seed)) for seed in range(60)]
    assert sum(history.epochs for history in histories) > 30
    starts = sum(line.endswith("start") for history in histories for line in history.lines)
    ends = sum(line.endswith("end") for history in histories for line in history.lines)
    assert starts > ends > 300
