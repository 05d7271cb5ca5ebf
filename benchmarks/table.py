"""Run all benchmarks and print the table that the speed appendix shows.

``python benchmarks/table.py [pytest arguments]``, for example ``--official sgdo=../SGDo``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from reprise.cli import processor
from reprise.runtime import atomic_write, thread_count

ROOT = Path(__file__).resolve().parents[1]


def rows(benchmarks: list[dict]) -> list[str]:
    """Markdown rows; ratios are to the fastest peer of the same work."""
    lines = []
    peers: dict[str, float] = {}
    for b in benchmarks:
        info = b["extra_info"]
        b["ns"] = b["stats"]["min"] / info["units"] * 1e9
        if info.get("peer"):
            peers[info["work"]] = min(b["ns"], peers.get(info["work"], float("inf")))
    for b in benchmarks:
        info = b["extra_info"]
        peer, target = peers.get(info["work"]), info.get("target")
        times = peer / b["ns"] if peer else 0.0
        ratio = f"{times:.{0 if times >= 10 else 1}f}x" if peer and not info.get("peer") else ""
        goal = ""
        if target is not None:
            met = peer / b["ns"] >= target if peer else b["ns"] <= target
            wanted = f">= {target:g}x" if peer else f"<= {target:.2g} ns"
            goal = f"{wanted}: {'met' if met else '**missed**'}"
        cells = (info["work"], info["name"], f"{b['ns']:.3g} ns", ratio, goal)
        lines.append(f"| {' | '.join(cells)} | {info.get('limit', '')} |")
    return lines


def main() -> int:
    """Race, print, store."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "benchmarks.json"
        command = [sys.executable, "-m", "pytest", str(ROOT / "benchmarks"), "-q"]
        command += [f"--benchmark-json={report}", "--benchmark-disable-gc", *sys.argv[1:]]
        status = subprocess.run([*command, "--benchmark-columns=min,median,rounds"]).returncode
        if status:
            return status
        benchmarks = json.loads(report.read_text(encoding="utf-8"))["benchmarks"]
    text = "\n".join(
        [
            f"Measured on {processor()}, {thread_count()} cores, {date.today().isoformat()}; "
            "best round, per elementary step.",
            "",
            "| work | implementation | time | against the peer | target | limit |",
            "|---|---|---|---|---|---|",
            *rows(benchmarks),
            "",
        ]
    )
    print(f"\n{text}")
    with atomic_write(ROOT / "results" / "speed.md") as file:
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
