#!/bin/sh
# Writes a readable report from the summary of the Lua node and the database of the Python node.
set -eu
file="$(dirname "$DATABASE")/report.txt"
export REPORT_FILE="$file"
python3 - <<'PYTHON'
import json, os, sqlite3

summary = json.loads(os.environ["SUMMARY"])
title = os.environ["REPORT_TITLE"]
with open(os.environ["REPORT_FILE"], "w", encoding="utf-8") as report:
    def line(text=""):
        print(text, file=report)

    line(title)
    line("=" * len(title))
    line(f"{summary['distributions']} distributions, {summary['files']} files, "
         f"{summary['size'] / 1e6:.1f} MB")
    line()
    line("Licences")
    for row in summary["licences"]:
        line(f"  {row['distributions']:4}  {row['licence']}")
    line()
    line("Largest")
    connection = sqlite3.connect(os.environ["DATABASE"])
    for name, version, size in connection.execute(
        "select name, version, size from distributions order by size desc limit 10"
    ):
        line(f"  {size / 1e6:8.2f} MB  {name} {version}")
    connection.close()
PYTHON
printf '{"file": "%s"}' "$file" > "$DAGRUN_OUTPUT"
cat "$file"
