"""Start-up: `import hauberk` and `hauberk --help` against the bare interpreter, in one run.

CPU seconds (user + system) of whole processes, median of several runs, interleaved so that noise hits all alike.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

HAUBERK = str(Path(sys.executable).with_name("hauberk"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import hauberk": [sys.executable, "-c", "import hauberk"],
    "import click": [sys.executable, "-c", "import click"],
    "hauberk --help": [HAUBERK, "--help"],
    "hauberk verify --help": [HAUBERK, "verify", "--help"],
}
LIMITS = {"import hauberk": 0.15, "hauberk --help": 0.30}


def cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            times[name].append(cpu_seconds(command))
    floor = statistics.median(times["python -c pass"])
    table = Table(title=f"Start-up, CPU seconds, median of {runs}", title_justify="left")
    for heading in ("command", "seconds", "above the interpreter", "ratio to the interpreter", "limit"):
        table.add_column(heading, justify="left" if heading == "command" else "right")
    for name, values in times.items():
        middle = statistics.median(values)
        limit = f"{LIMITS[name]:.2f}" if name in LIMITS else ""
        table.add_row(name, f"{middle:.3f}", f"{middle - floor:.3f}", f"{middle / floor:.1f}", limit)
    Console().print(table)


if __name__ == "__main__":
    main()
