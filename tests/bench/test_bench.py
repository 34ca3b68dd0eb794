"""``python -m bench --quick``: it runs beside the real peers, and its report has every row."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import report
from bench.dashboard.__main__ import QUICK
from bench.dashboard.trials import pages
from bench.works import WORKS, chosen
from tests.machine import ROOT

HEADINGS = (
    "Jobs a second",
    "CPU a job, in microseconds",
    "Pickup latency of an idle worker, and memory",
    "The floor",
    "Where the time goes at concurrency 100",
)


@pytest.mark.usefixtures("node", "peer_python")
def test_one_work_is_measured_beside_the_peers(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--only", "add-bulk", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    trials = json.loads(file.read_text())["trials"]
    assert set(trials) == {"add-bulk"}
    (work,) = (work for work in WORKS if work.name == "add-bulk")
    assert set(trials["add-bulk"]) == {subject.name for subject in work.subjects}


@pytest.mark.slow
@pytest.mark.usefixtures("node", "peer_python")
def test_a_quick_run_has_every_row(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    for heading in HEADINGS:
        assert f"### {heading}" in lines
    for row in (*report.SPEED, *report.CPU):
        assert any(line.startswith(f"| {row.title} |") for line in lines), row.title
    for row in (*(f"concurrency {c}" for c in report.FLOOR), "a waiting small job, bytes"):
        assert any(line.startswith(f"| {row} |") for line in lines), row

    trials = json.loads(file.read_text())["trials"]
    for work in WORKS:
        assert set(trials[work.name]) == {subject.name for subject in work.subjects}
        for figures in trials[work.name].values():
            assert all(value > 0 for name, value in figures[0].items() if ":" not in name)


def test_an_unknown_work_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="there is no work 'drains'; there are drain-1, drain-10"):
        chosen(["drains"], quick=False)


def test_the_block_of_a_page_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n")
    report.write_block(page, "new\n")
    report.write_block(page, "newer\n")
    assert page.read_text() == f"before\n\n{report.BEGIN}\n\nnewer\n\n{report.END}\n\nafter\n"


@pytest.mark.parametrize("text", ["", report.BEGIN, f"{report.END}\n{report.BEGIN}"])
def test_a_page_without_its_marks_is_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="needs one line"):
        report.write_block(page, "new\n")
    assert page.read_text() == text


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    results = {
        ("add", "node"): [{"rate": 10.0}, {"rate": 100.0}, {"rate": 10.0}],
        ("add", "ours"): [{"rate": 20.0}, {"rate": 200.0}, {"rate": 5.0}],
    }
    cell = report._ratio_cell(results, ("add", "ours"), ("add", "node"), "rate")
    assert cell == "2.00× (0.50–2.00)"


def test_operations_are_measured_and_all_done() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bench.operations", "--jobs", "300"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    rows = [line for line in run.stdout.splitlines() if line.startswith("| ")]
    done = {row.split("|")[1].strip(): row.split("|")[3].strip() for row in rows[2:]}
    assert done == {
        "search all by a name that none has": "0",
        "retry all failed": "300",
        "retry every tenth by its name": "30",
        "remove all failed": "300",
    }


@pytest.mark.slow
@pytest.mark.usefixtures("node")
def test_the_dashboard_is_measured_beside_bull_board() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bench.dashboard", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    begins = {line.split("|")[1].strip() for line in run.stdout.splitlines() if line[:1] == "|"}
    assert {name for name, _ in pages(jobs=100)} <= begins
    assert {str(count) for count in QUICK.viewers} <= begins
    assert "retry all, jobs a second" in begins


@pytest.mark.slow
def test_fleets_are_measured() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bench.fleet", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    rows = [line.split("|")[1:-1] for line in run.stdout.splitlines() if line.startswith("| ")]
    begins = {row[0].strip() for row in rows}
    assert {"nothing", "0.1 ms of Python", "pickup, 99th percentile, ms"} <= begins
    (commands,) = (row for row in rows if row[0].strip() == "commands a second from clients")
    # Some of what an idle fleet asks comes every ten seconds only: this is no measurement of it.
    assert all(0 < float(cell.split()[0]) < 100 for cell in commands[1:])
