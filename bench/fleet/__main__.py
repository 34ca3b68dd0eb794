"""``python -m bench.fleet``: one process against two, and an idle fleet of ten.

A full run takes six minutes and wants the machine for itself.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench import report as blocks
from bench.__main__ import machine_facts
from bench.dashboard.site import prepare
from bench.fleet import drain, report
from bench.fleet.drain import Cost
from bench.fleet.idle import Fleet, Idle
from bench.trials import BenchError, Trials
from tests.servers import Server

COSTS = (
    Cost(0, 60_000, 10),
    Cost(0, 60_000, 10, pinned=True),
    Cost(0, 60_000, 100),
    Cost(0, 60_000, 100, pinned=True),
    Cost(30, 40_000, 10),
    Cost(100, 20_000, 10),
    Cost(1_000, 4_000, 10),
)
ROUNDS, IDLE_S, PICKUPS = 5, 60.0, 1_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few jobs, once: does it still run?")
    parser.add_argument("--write", action="store_true", help=f"into {report.PAGE.name}")
    options = parser.parse_args()
    if options.write and options.quick:
        parser.error("--write is for full runs: leave out --quick")
    try:
        with tempfile.TemporaryDirectory() as folder:
            server = Server().start()
            try:
                text = _measure(server, Path(folder), options.quick)
            finally:
                server.close()
    except (BenchError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(text)
    if options.write:
        blocks.write_block(report.PAGE, text, report.BEGIN, report.END)
    return 0


def _measure(server: Server, folder: Path, quick: bool) -> str:
    prepare(server, folder, "bench.fleet.settings")
    costs = [one for one in COSTS if not one.pinned or _can_pin()]
    if quick:
        costs = [replace(one, jobs=400) for one in costs]
    drained = drain.measure(Trials(server), costs, 1 if quick else ROUNDS)
    size, seconds, jobs, settle = (2, 2.0, 20, 0.0) if quick else (10, IDLE_S, PICKUPS, 15.0)
    idle: list[Idle] = []
    for supervised in (False, True):
        with server.client() as client:
            client.flushall()
            fleet = Fleet(client, folder, size, supervised=supervised)
            try:
                idle.append(fleet.measure(jobs, seconds, settle))
            finally:
                fleet.close()
        print(f"idle: {idle[-1].commands:.0f} commands a second", file=sys.stderr, flush=True)
    return report.markdown(drained, idle, machine_facts(server))


def _can_pin() -> bool:
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1


if __name__ == "__main__":
    sys.exit(main())
