"""Fail when a part of the core that must be right has lines that no test reaches."""

import io
import sys

import coverage

LEAST = 95.0  # percent of lines
PARTS = {
    "domain": "src/dagrun/domain/*",
    "services": "src/dagrun/services/*",
    "stores": "src/dagrun/builtin/sqlite/*,src/dagrun/builtin/memory_store/*,src/dagrun/builtin/intake.py,src/dagrun/builtin/ownership.py",
}


def main() -> int:
    data = coverage.Coverage()
    data.load()
    low = False
    for name, patterns in PARTS.items():
        text = io.StringIO()
        percent = data.report(include=patterns.split(","), file=text)
        print(f"{name}: {percent:.1f} % of lines")
        if percent < LEAST:
            print(f"at least {LEAST} % are needed\n{text.getvalue()}")
            low = True
    return int(low)


if __name__ == "__main__":
    sys.exit(main())
