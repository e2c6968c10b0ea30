"""Run the benchmarks: `python -m tests.bench [name …]`; one JSON object a line on stdout, a table on stderr."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.harness import Row


def modules(names: Sequence[str]) -> list[str]:
    """The benchmark modules whose name contains one of `names`; all where none are given."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    return [name for name in found if not names or any(part in name for part in names)]


def table_line(row: Row) -> str:
    """A result for people."""
    holds = {True: "holds", False: "MISSED", None: ""}[row["holds"]]  # type: ignore[index]
    bar = "" if row["bar"] is None else f"bar {row['bar']:g}"
    beside = "" if row["baseline_value"] is None else f"{row['baseline']}: {row['baseline_value']:.4g}"
    spread = f"({row['min']:.4g} to {row['max']:.4g}, {row['runs']} runs)"
    return f"{row['name']:<52} {row['value']:>9.4g} {row['unit']:<12} {spread:<34} {bar:<10} {holds:<7} {beside}"


def main(names: Sequence[str]) -> int:
    """Run and print; 1 where a bar is missed, 2 where no benchmark has such a name."""
    chosen = modules(names)
    if not chosen:
        print(f"no benchmark is named like {', '.join(names)}; there are: {', '.join(modules(()))}", file=sys.stderr)
        return 2
    missed = False
    for name in chosen:
        rows: list[Row] = importlib.import_module(f"tests.bench.{name}").bench()
        for row in rows:
            print(json.dumps(row), flush=True)
            print(table_line(row), file=sys.stderr, flush=True)
            missed |= row["holds"] is False
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
