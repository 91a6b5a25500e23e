"""``python -m benchmarks``: measure dagrun beside its floors, and print a table.

Every figure is a median of interleaved repetitions. Compare ratios, not times: they hold on
another machine as well.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import msgspec

from benchmarks import bare, engines, floor, placement
from benchmarks.measure import (
    LUA,
    NOOP,
    TRUE,
    chain,
    fan_out,
    first_node_latencies,
    seconds_of,
)
from dagrun.domain.workflow import Durability

ROOT = Path(__file__).parents[1]
MICRO, MILLI = 1e6, 1e3


@attrs.frozen(kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    value: float
    floor: float | None = None
    target: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the floor it takes."""
        return None if self.floor is None else self.value / self.floor


def compare(
    ours: Callable[[], float], theirs: Callable[[], float], times: int
) -> tuple[float, float]:
    """Take both by turns, and give the medians."""
    pairs = [(theirs(), ours()) for _ in range(times)]
    return statistics.median(p[1] for p in pairs), statistics.median(p[0] for p in pairs)


def walk(graphs: list[floor.Graph], *, strict: bool) -> float:
    """Take the floor's time on a fresh file."""
    with tempfile.TemporaryDirectory() as folder:
        return floor.walk(graphs, Path(folder) / "floor.db", strict=strict)


def noop_figures(times: int) -> list[Figure]:
    """No-op nodes in three shapes, for both kinds of durability."""
    warm = chain(1, NOOP, Durability.BATCHED)
    figures = []
    for durability in Durability:
        strict = durability is Durability.STRICT
        shapes: list[tuple[str, Any, int, list[floor.Graph], str]] = [
            ("fan-out 1→1000→1", fan_out(1000, NOOP, durability), 1, [floor.fan_out(1000)], "8"),
            ("chain of 40", chain(40, NOOP, durability), 1, [floor.chain(40)], "5"),
            ("1000 runs of 3", chain(3, NOOP, durability), 1000, [floor.chain(3)] * 1000, "5"),
        ]
        for name, workflow, runs, graphs, most in shapes:
            count = len(workflow.nodes) * runs
            ours, theirs = compare(
                partial(seconds_of, workflow, runs=runs, warm=warm),
                partial(walk, graphs, strict=strict),
                times,
            )
            target = "≤ 3×" if strict else f"≤ {most}×, ≤ 100 µs"
            label = f"no-op, {durability}: {name}"
            figures.append(
                Figure(
                    name=label,
                    unit="µs a node",
                    value=ours / count * MICRO,
                    floor=theirs / count * MICRO,
                    target=target,
                )
            )
    return figures


def lua_figure(times: int) -> Figure:
    """Lua nodes one behind the other, beside bare round trips to one worker."""
    workflow, warm = chain(40, LUA, None), chain(3, LUA, None)
    request = msgspec.json.encode(
        {
            "code": "return {}",
            "inputs": {},
            "nodes": {},
            "run": {},
            "env": {},
            "item": None,
            "item_index": None,
            "timeout": None,
            "memory": 64 * 1024 * 1024,
        }
    )
    ours, theirs = compare(
        lambda: seconds_of(workflow, warm=warm) / 40,
        lambda: bare.lua_round_trip([request] * 200),
        times,
    )
    return Figure(
        name="lua, warm: chain of 40",
        unit="µs a node",
        value=ours * MICRO,
        floor=theirs * MICRO,
        target="≤ 2×",
    )


def true_figure(times: int) -> Figure:
    """``/bin/true`` in a fan-out, beside bare spawns."""
    count = 400
    workflow, warm = fan_out(count, TRUE, None), chain(1, TRUE, None)
    ours, theirs = compare(
        lambda: seconds_of(workflow, warm=warm), lambda: bare.spawn_true(count + 2, 8), times
    )
    return Figure(
        name=f"/bin/true: fan-out 1→{count}→1",
        unit="µs a node",
        value=ours / (count + 2) * MICRO,
        floor=theirs / (count + 2) * MICRO,
        target="≤ 1.5×",
    )


def start_figures(times: int) -> list[Figure]:
    """What a person waits for at the command line, beside a bare interpreter."""
    help_, python = compare(
        lambda: _command("--help"), lambda: _process([sys.executable, "-c", "import trio"]), times
    )
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.yaml"
        large.write_text(large_document(10_000))
        checked, _ = compare(lambda: _command("validate", str(large)), lambda: 0.0, times)
    file = ROOT / "benchmarks" / "three.yaml"
    run, _ = compare(lambda: _command("run", str(file)), lambda: 0.0, times)
    note = "python importing trio"
    return [
        Figure(
            name=f"dagrun --help (floor: {note})",
            unit="ms",
            value=help_ * MILLI,
            floor=python * MILLI,
            target="≤ 300 ms",
        ),
        Figure(name="dagrun run, three Lua nodes", unit="ms", value=run * MILLI, target="≤ 700 ms"),
        Figure(
            name="dagrun validate, 10,000 nodes",
            unit="ms",
            value=checked * MILLI,
            target="≤ 1000 ms",
        ),
    ]


def large_document(count: int) -> str:
    """Write a document whose nodes each have a dependency and an input."""
    head = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: large, version: 1.0.0}\n"
    nodes = ["    - {id: n0, executor: {type: lua, code: 'return {x = 1}'}}\n"]
    nodes += [
        f"    - id: n{number}\n      dependencies: [n{number - 1}]\n"
        f'      inputs: {{x: "${{nodes.n{number - 1}.x}}"}}\n'
        "      executor: {type: lua, code: 'return {x = inputs.x + 1}'}\n"
        for number in range(1, count)
    ]
    return head + "spec:\n  nodes:\n" + "".join(nodes)


def _command(*arguments: str) -> float:
    return _process([sys.executable, "-m", "dagrun", *arguments])


def _process(argv: list[str]) -> float:
    import time

    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "DAGRUN_DATA_DIR": f"{folder}/data"}
        start = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True, env=env, cwd=ROOT)
        return time.perf_counter() - start


def latency_figure() -> Figure:
    """From the submission to the call of the first node."""
    value = statistics.median(first_node_latencies(50))
    return Figure(name="submit to first node", unit="ms", value=value * MILLI, target="≤ 2 ms")


def memory_figure() -> Figure:
    """How much a run of 10,000 nodes adds."""
    argv = [sys.executable, "-m", "benchmarks.memory", "9998"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT)
    return Figure(
        name="memory that 10,000 nodes add",
        unit="MB",
        value=float(done.stdout),
        target="≤ 150 MB",
    )


def balancer_figures(times: int) -> list[Figure]:
    """How long it takes to choose among many engines."""
    cases = [(name, make, False) for name, make in placement.BALANCERS.items()]
    cases.append(("hash, one key", placement.BALANCERS["consistent-hash"], True))
    return [
        Figure(
            name=f"balancer, 1000 engines: {name}",
            unit="µs",
            value=MICRO
            * statistics.median(
                placement.choose_seconds(make(), 1000, one_key=one_key) for _ in range(times)
            ),
            target="≤ 20 µs",
        )
        for name, make, one_key in cases
    ]


def queue_figures(times: int) -> list[Figure]:
    """How long a run takes through a long queue, and how much memory while it waits."""
    return [
        Figure(
            name=f"queue of 100,000, {shape}",
            unit="µs a run",
            value=MICRO * statistics.median(placement.queue_seconds(shape) for _ in range(times)),
        )
        for shape in placement.SHAPES
    ] + [
        Figure(name=f"the same, {shape}", unit="B a run", value=placement.queue_bytes(shape))
        for shape in placement.SHAPES
    ]


def engine_figures(times: int) -> list[Figure]:
    """An engine in another process, over gRPC, beside the embedded one."""
    figures = []
    other = chain(1, NOOP, Durability.BATCHED)
    three, wide = chain(3, NOOP, Durability.BATCHED), fan_out(1000, NOOP, Durability.BATCHED)
    for name, workflow, runs, warm, most in (
        ("1000 runs of 3", three, 1000, other, "≤ 2.5×"),
        ("fan-out 1→1000→1", wide, 1, wide, "≤ 1.5×"),
        ("its first run", wide, 1, other, ""),
    ):
        count = len(workflow.nodes) * runs
        ours, theirs = compare(
            partial(engines.seconds_of, workflow, runs=runs, warm=warm),
            partial(seconds_of, workflow, runs=runs, warm=warm),
            times,
        )
        figures.append(
            Figure(
                name=f"gRPC (floor: embedded): {name}",
                unit="µs a node",
                value=ours / count * MICRO,
                floor=theirs / count * MICRO,
                target=most,
            )
        )
    idle = engines.first_node_latencies(300)
    busy = engines.first_node_latencies(100, queued=engines.QUEUED)
    fresh, old = compare(
        partial(engines.ended_seconds, 100_000, runs=500),
        partial(engines.ended_seconds, 100, runs=500),
        times,
    )
    argv = [sys.executable, "-m", "benchmarks.engines"]
    memory = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT)
    return [
        *figures,
        Figure(
            name="gRPC: submit to first node, p50",
            unit="ms",
            value=engines.quantile(idle, 0.5) * MILLI,
            target="≤ 10 ms",
        ),
        Figure(
            name="gRPC: submit to first node, p99",
            unit="ms",
            value=engines.quantile(idle, 0.99) * MILLI,
            target="≤ 50 ms",
        ),
        Figure(
            name="the same with 100,000 queued, slowest of 100",
            unit="ms",
            value=max(busy) * MILLI,
            target="≤ 20 ms",
        ),
        Figure(
            name="memory of 100,000 queued runs",
            unit="MB",
            value=float(memory.stdout),
            target="≤ 300 MB",
        ),
        Figure(
            name="a run beside 100,000 ended (floor: 100)",
            unit="µs",
            value=fresh * MICRO,
            floor=old * MICRO,
            target="≤ 1.2×",
        ),
    ]


def table(figures: list[Figure]) -> str:
    """Lay the figures out."""
    lines = [f"{'':44} {'dagrun':>9} {'floor':>9}  {'ratio':>6}  {'unit':10} target"]
    for figure in figures:
        base = "" if figure.floor is None else f"{figure.floor:.1f}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}×"
        lines.append(
            f"{figure.name:44} {figure.value:9.1f} {base:>9}  {ratio:>6}  {figure.unit:10}"
            f" {figure.target}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and write the JSON file if one is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--times", type=int, default=5, help="repetitions (default: 5)")
    arguments = parser.parse_args()
    figures = [
        *noop_figures(arguments.times),
        lua_figure(arguments.times),
        true_figure(arguments.times),
        *start_figures(arguments.times),
        latency_figure(),
        memory_figure(),
        *balancer_figures(arguments.times),
        *queue_figures(arguments.times),
        *engine_figures(arguments.times),
    ]
    print(table(figures))
    if arguments.json:
        rows = [{**attrs.asdict(figure), "ratio": figure.ratio} for figure in figures]
        arguments.json.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
