"""Write the code that goes with the files in this folder: ``python proto/generate.py [FOLDER]``.

Without FOLDER it goes where it is committed, in place of what is there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROTO = Path(__file__).parent
COMMITTED = PROTO.parent / "plugins/dagrun-grpc/src/dagrun_grpc/wire"


def main(arguments: list[str]) -> int:
    """Generate into the folder; give the compiler's exit code."""
    folder = Path(arguments[0]) if arguments else COMMITTED
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.rglob("*.proto"))
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO}"),
        f"--python_betterproto2_out={folder}",
        "--python_betterproto2_opt=client_generation=none",
        *files,
    ]
    environment = {**os.environ, "PATH": programs}  # where the compiler's plugin and ruff are
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 — ours


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
