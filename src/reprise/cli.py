"""The command line: ``reprise run | scoreboard | build | notebook | knobs | reference | new ...``.

Thin over papermill and jupyter-book; the Makefile calls nothing else.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import nbformat

from reprise import book, references, running, scaffold, site
from reprise.board import hero_svg, standalone_svg
from reprise.book import Chapter
from reprise.ledger import LedgerError, tally
from reprise.running import say
from reprise.runtime import PROFILES, atomic_write, thread_count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors of use end in one line and status 2, failed runs in 1."""
    options = _parser().parse_args(arguments)
    try:
        options.call(book.find_root(), options)
    except KeyboardInterrupt:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # the kernel's own interruption
        print(
            "reprise: interrupted; finished runs are kept, nothing is half-written", file=sys.stderr
        )
        return 130
    except (RuntimeError, LedgerError) as error:
        print(f"reprise: {error}", file=sys.stderr)
        return 1
    except (ValueError, FileNotFoundError) as error:
        print(f"reprise: {error}", file=sys.stderr)
        return 2
    return 0


def run(root: Path, options: argparse.Namespace) -> None:
    """Execute one chapter at a profile, with changed parameters if wanted, and print its ledger."""
    chapter = book.chapter(root, options.chapter)
    parameters = chapter.parameters(options.profile, dict(options.parameters))
    changes = {name: parameters[name] for name, _ in options.parameters}
    out = Path(options.out) if options.out else _default_output(chapter, options.profile, changes)
    if out.suffix != ".ipynb":
        raise book.BookError(f"-o must name an .ipynb file, got {out}")
    begin = time.perf_counter()
    try:
        running.execute(chapter, parameters, out, progress=not options.quiet)
    except Exception as error:
        raise RuntimeError(f"{chapter.id} failed: {error}") from error
    seconds = time.perf_counter() - begin
    records = running.describe_run(chapter, nbformat.read(out, as_version=4))
    if records:
        say(scoreboard_text(records))
    say(f"{out}: {tally(records)} in {seconds:.1f} s")
    if options.store and records:
        say(f"stored {_store(root, chapter, records, seconds)}")


def scoreboard(root: Path, options: argparse.Namespace) -> None:
    """Print all claims of the runs at hand, as a table or as JSON, one record a claim."""
    profiles = [options.profile] if options.profile else ["book", "smoke"]
    records: list[dict[str, Any]] = []
    for profile in profiles:
        records = records or running.collect(root, profile)
    if not records:
        raise FileNotFoundError("no runs found: 'make book PROFILE=smoke' makes them in minutes")
    print(json.dumps(records, indent=2) if options.json else scoreboard_text(records))


def build(root: Path, options: argparse.Namespace) -> None:
    """Bring the runs of a profile up to date and publish the site."""
    begin = time.perf_counter()
    running.run_all(book.notebooks(root), options.profile, jobs=options.jobs)
    if not options.no_site:
        out = Path(options.out).resolve() if options.out else root
        site.build_site(root, options.profile, out=out)
    say(f"all done in {time.perf_counter() - begin:.1f} s")


def notebook(root: Path, options: argparse.Namespace) -> None:
    """Write chapters as plain .ipynb without outputs, for Jupyter, papermill and linters."""
    for chapter in _wanted(root, options):
        out = root / "_build" / "notebooks" / f"{chapter.id}.ipynb"
        with atomic_write(out) as file:
            nbformat.write(chapter.notebook(), file)
        say(f"wrote {out.relative_to(root)}")


def reference(root: Path, options: argparse.Namespace) -> None:
    """Run chapters at smoke and store the runs as what nbval compares with."""
    wanted = _wanted(root, options)
    running.run_all(wanted, "smoke", jobs=options.jobs)
    for chapter in wanted:
        say(f"wrote {references.write_reference(chapter).relative_to(root)}")


def picture(root: Path, options: argparse.Namespace) -> None:
    """Redraw the README's picture from a chapter's book run."""
    chapter = book.chapter(root, options.chapter)
    drawing = hero_svg(nbformat.read(chapter.run_path("book"), as_version=4))
    if drawing is None:
        raise book.BookError(f"{chapter.id} must show a picture with hero=True, found none")
    target = root / "book" / "_static" / "readme.svg"
    with atomic_write(target) as file:
        file.write_text(standalone_svg(drawing), encoding="utf-8")
    say(f"wrote {target.relative_to(root)}")


def new(root: Path, options: argparse.Namespace) -> None:
    """Write a new chapter that passes every test, run it and store its reference."""
    for path in scaffold.create(root, options.chapter):
        say(f"wrote {path.relative_to(root)}")
    options.chapters = [options.chapter]
    reference(root, options)


def knobs(root: Path, options: argparse.Namespace) -> None:
    """Write the parameter cells of chapters anew, from what their packages declare."""
    for chapter in _wanted(root, options):
        scaffold.write_parameter_cell(chapter)


def times(root: Path, options: argparse.Namespace) -> None:
    """Print how long each chapter took in each step of the tests, the longest first."""
    file = root / "_build" / "times.json"
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for chapter in book.notebooks(root):
        seconds = running.seconds_of(chapter, "smoke")
        if seconds is not None:
            stored.setdefault(chapter.id, {})["smoke"] = seconds
    if not stored:
        raise FileNotFoundError("no times yet: 'make test' measures them")
    steps = sorted({step for row in stored.values() for step in row})
    print(" ".join(["seconds".ljust(26), *(step.rjust(9) for step in [*steps, "all"])]))
    for page, row in sorted(stored.items(), key=lambda item: -sum(item[1].values())):
        cells = [f"{row[step]:9.1f}" if step in row else " " * 9 for step in steps]
        print(" ".join([page.ljust(26), *cells, f"{sum(row.values()):9.1f}"]))


def scoreboard_text(records: Sequence[dict[str, Any]]) -> str:
    """The scoreboard as aligned plain text, a line a claim."""
    width = max(len(f"{r['chapter']} {r['id']}") for r in records)
    lines = [
        f"{r['chapter']} {r['id']}".ljust(width + 2)
        + f"{r['verdict']:<30}{r['statement']}\n{' ' * (width + 2)}{r['measured']} ({r['profile']})"
        for r in records
    ]
    return "\n".join([*lines, f"{len(records)} claims: {tally(records)}"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="reprise", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(call: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(call.__name__, help=call.__doc__.splitlines()[0])
        sub.set_defaults(call=call)
        return sub

    one = command(run)
    one.add_argument("chapter", help="part/slug, for example shuffling/sgdo")
    one.add_argument("--profile", choices=PROFILES, default="book")
    one.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        metavar=("NAME", "VALUE"),
        action="append",
        default=[],
        help="change a parameter of the profile; repeat for more",
    )
    one.add_argument("-o", dest="out", help="the executed notebook (default: below _build/runs)")
    one.add_argument("--store", action="store_true", help="keep the ledger in results/")
    one.add_argument("--quiet", action="store_true", help="no progress bar")

    board = command(scoreboard)
    board.add_argument("--json", action="store_true")
    board.add_argument("--profile", choices=PROFILES, help="default: book, else smoke")

    publish = command(build)
    publish.add_argument("--profile", choices=PROFILES, default="book")
    publish.add_argument("--jobs", type=_positive, default=2, help="chapters at a time")
    publish.add_argument("--out", help="folder for _build/html (default: the project)")
    publish.add_argument("--no-site", action="store_true", help="run the chapters only")

    plain = command(notebook)
    plain.add_argument("chapters", nargs="*", help="default: all")

    drawn = command(picture)
    drawn.add_argument("chapter", nargs="?", default="shuffling/sgdo")

    fresh = command(new)
    fresh.add_argument("chapter", help="part/slug of a paper in book/papers.yml")
    fresh.add_argument("--jobs", type=_positive, default=2)

    command(times)

    cells = command(knobs)
    cells.add_argument("chapters", nargs="*", help="default: all")

    pinned = command(reference)
    pinned.add_argument("chapters", nargs="*", help="default: all")
    pinned.add_argument("--jobs", type=_positive, default=2)
    return parser


def _wanted(root: Path, options: argparse.Namespace) -> list[Chapter]:
    """The chapters that were named, or all pages."""
    return [book.chapter(root, id) for id in options.chapters] or book.notebooks(root)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def _default_output(chapter: Chapter, profile: str, changes: dict[str, Any]) -> Path:
    """The profile's own run, or a file named after what was changed."""
    out = chapter.run_path(profile)
    if not changes:
        return out
    words = "_".join(f"{name}-{value}" for name, value in changes.items())
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in words)[:80]
    return out.with_name(f"{out.stem}_{safe}.ipynb")


def _store(root: Path, chapter: Chapter, records: list[dict[str, Any]], seconds: float) -> Path:
    """Keep a run's ledger with the hardware and the date."""
    path = root / "results" / f"{chapter.id}.json"
    stored = {
        "chapter": chapter.id,
        "hardware": f"{processor()}, {thread_count()} cores",
        "date": date.today().isoformat(),
        "seconds": round(seconds),
        "claims": records,
    }
    with atomic_write(path) as file:
        file.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    return path


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
