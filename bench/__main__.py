"""``python -m bench``: measures everything in one go and prints a Markdown report.

A full run takes several minutes and wants the machine for itself: other load changes every figure,
and the ratios less so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

from bench import report
from bench.subjects.ours import configure
from bench.trials import BenchError, Trials
from bench.works import OURS, Work, chosen
from tests import machine
from tests.servers import Server

PAGE = machine.ROOT / "docs" / "reference" / "performance.md"
PROFILED = Work("profile", "drain", 100_000, (OURS,), concurrency=100, rounds=1)


def main() -> int:
    options = _parse()
    try:
        works = chosen(options.only, options.quick)
        node, bullmq, peer = _peers()
        server = Server().start()
    except (ValueError, BenchError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    configure(server.url)
    try:
        about = _machine(server, node, bullmq, peer)
        results = _measure(Trials(server, (node, bullmq, peer)), works, options)
    except BenchError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    finally:
        server.close()
    text = report.markdown(results, about, max(work.rounds for work in works))
    print(text)
    if options.json:
        options.json.write_text(report.as_json(results, about))
    if options.write:
        report.write_block(PAGE, text)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME",
        help="only the works whose names begin so (drain-10, add, latency, memory ...); repeatable",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="few jobs, once: does it still run?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every trial's figures")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}, between its marks")
    options = parser.parse_args()
    if options.write and (options.quick or options.only):
        parser.error("--write is for full runs: leave out --quick and --only")
    return options


def _peers() -> tuple[Path, Path, Path]:
    """Node, the folder with its BullMQ, and the Python that has PyPI's bullmq.

    The environment variables NODE and BULLMQ may name the first two.
    """
    node = os.environ.get("NODE") or machine.find_node()
    bullmq = Path(os.environ.get("BULLMQ") or machine.PEERS / "bullmq-6")
    peer = machine.find_peer_python()
    if not node or not peer or not (bullmq / "node_modules" / "bullmq").is_dir():
        raise BenchError(
            "The peers are missing: `make peers` brings them (`make bench` does, too)."
        )
    return Path(node), bullmq.resolve(), peer


def _measure(trials: Trials, works: list[Work], options: argparse.Namespace) -> report.Results:
    """Every subject in turn, round by round, so that what slows the machine slows them all."""
    results: report.Results = {}
    for work in works:
        for number in range(work.rounds):
            # Each round begins with another one: none always runs on a machine just warmed up.
            turn = number % len(work.subjects)
            for subject in (*work.subjects[turn:], *work.subjects[:turn]):
                figures = trials.run(work, subject)
                results.setdefault((work.name, subject.name), []).append(figures)
                _progress(work, subject.name, figures)
    if any(work.name == "drain-100" for work in works):
        jobs = 2_000 if options.quick else PROFILED.jobs
        profiled = Work("profile", "drain", jobs, (OURS,), PROFILED.concurrency)
        results["profile", "ours"] = [trials.run(profiled, OURS, profile=True)]
    return results


def _progress(work: Work, subject: str, figures: dict[str, float]) -> None:
    said = ", ".join(f"{name} {value:,.2f}" for name, value in figures.items() if ":" not in name)
    print(f"{work.name:<18}{subject:<9}{said}", file=sys.stderr, flush=True)


def _machine(server: Server, node: Path, bullmq: Path, peer: Path) -> dict[str, Any]:
    """What was measured, and on what."""
    package = json.loads((bullmq / "node_modules" / "bullmq" / "package.json").read_text())
    version = "import importlib.metadata as m; print(m.version('bullmq'))"
    return machine_facts(server, node) | {
        "bullmq": package["version"],
        "bullmq_python": _say([str(peer), "-c", version]),
    }


def machine_facts(server: Server, node: Path | None = None) -> dict[str, Any]:
    """This machine, and the versions of what every report is about."""
    import django

    import queuecore

    with server.client() as client:
        info = client.info("server")
    name, number = (
        ("Valkey", "valkey_version") if "valkey_version" in info else ("Redis", "redis_version")
    )
    return {
        "date": date.today().isoformat(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "cpu": _cpu(),
        "system": platform.system(),
        "server": f"{name} {info[number]}",
        "python": platform.python_version(),
        "django": django.get_version(),
        "node": _say([str(node), "--version"]).lstrip("v") if node else "",
        "queuecore": queuecore.__version__,
        "commit": _say(["git", "-C", str(machine.ROOT), "rev-parse", "--short", "HEAD"]),
    }


def _cpu() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _say(command: list[str]) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return ""
    return answer.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
