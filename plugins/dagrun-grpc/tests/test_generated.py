"""The code that is committed is what ``proto/`` says."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "plugins/dagrun-grpc/src/dagrun_grpc/wire"


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_generated_code_is_current(tmp_path):
    program = [sys.executable, str(ROOT / "proto/generate.py"), str(tmp_path / "wire")]
    subprocess.run(program, check=True, capture_output=True, timeout=60)
    assert files(tmp_path / "wire") == files(COMMITTED), "run tox run -e proto"


def test_every_field_and_call_is_described():
    for path in (ROOT / "proto").rglob("*.proto"):
        lines = path.read_text().splitlines()
        for above, line in pairwise(lines):
            if line.strip().endswith((";", "{", "{}")) and not line.startswith(
                ("syntax", "package", "import")
            ):
                described = above.strip().startswith("//") or line.strip() == "oneof frame {"
                assert described, f"{path.name}: {line}"
