"""Cron patterns made at random: BullMQ's parser and ours read the same in them, or both refuse."""

import json
import random
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from queuecore.cron import ALIASES, next_run
from queuecore.errors import InvalidOption
from tests.machine import PEERS

SCRIPT = Path(__file__).with_name("cron.mjs")
PATTERNS, RUNS = 400, 3
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland", "Asia/Kolkata")
FIELDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = {
    4: ("jan", "Feb", "MAR", "jul", "dec"),
    5: ("sun", "Mon", "WED", "sat"),
}
Answer = str | list[int]
NEVER = "Invalid explicit day of month definition"
# What theirs takes for something else than it says: "1-3-5" is 1-3 there, and a star within a range
# stands for a range (so that "1-*" is the 1st); "5L" as a day of the month is the 5th, 8L is
# read as well.
ODD = re.compile(r"[*?]-|-[*?]|\d-\d+-\d|\dL\S*( \S+){2}$|8L")


def part(dice: random.Random, index: int) -> str:
    """One piece of a field: mostly right, now and then odd or wrong."""
    least, most = FIELDS[index]
    low, high = sorted((dice.randint(least, most), dice.randint(least, most)))
    step = dice.choice((1, 2, 3, 5, 7, 15, 20, 40))
    right = ["*", str(low), f"{low}-{high}", f"*/{step}", f"{low}/{step}", f"{low}-{high}/{step}"]
    right += ["?", f"{low:02}", str(high)]
    odd = [f"{high}-{low}", str(most + 1), "", "x", f"{low}-", "*/0", "*/", "?/5", "1-3-5"]
    odd += ["1/2/3", "*-5", "1.5", "+1", " ", "1 ", "*/1.5", "1-2x", "5/-1", "1-*", "/5", "-"]
    if index in NAMES:
        name, other = dice.choice(NAMES[index]), dice.choice(NAMES[index])
        right += [name, name]
        odd += [f"{name}-{other}", f"{name}/2", "abc", name * 2, f"{name}{other}", f"1{name}"]
    if index == 3:
        right += ["L", "L"]
        odd += ["LW", "15W", "L-3", "1L", "L/2", "LL", "l"]
    if index == 5:
        right += [f"{low}L", f"{low}#{dice.randint(1, 5)}", "7", "0-7", "5-7"]
        odd += ["L", "mon#2", "friL", "1#2-3", "1#6", "1#0", "#", "1#", "#1", "6-7/2", "l", "8L"]
    return dice.choice(odd if dice.random() < 0.15 else right)


def pattern(dice: random.Random) -> str:
    """A pattern of 5 or 6 fields, seldom fewer or more."""
    count = dice.choice((5,) * 12 + (6,) * 8 + (1, 3, 4, 7))
    fields = []
    for place in range(count):
        index = place + 6 - min(count, 6)
        # Most fields are plain, or hardly any pattern would be right.
        if dice.random() < 0.45:
            fields.append("*" if dice.random() < 0.6 else str(dice.randint(*FIELDS[min(index, 5)])))
        else:
            pieces = [part(dice, min(index, 5)) for _ in range(dice.choice((1, 1, 1, 1, 2, 3)))]
            fields.append(",".join(pieces) or "*")
    return " ".join(fields)


def ours(pattern: str, tz: str, after: int) -> Answer:
    runs: list[int] = []
    try:
        while len(runs) < RUNS:
            due = next_run(pattern, tz, runs[-1] if runs else after)
            if due is None:
                break
            runs.append(due)
    except InvalidOption as error:
        return str(error)
    return runs


def test_patterns_are_read_as_bullmq_s_parser_reads_them(node: Path) -> None:
    dice = random.Random(20)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    asked = []
    for text in [*ALIASES, *(pattern(dice) for _ in range(PATTERNS))]:
        for _ in range(3):
            moment = start + timedelta(seconds=dice.randrange(3 * 366 * 86400))
            asked.append((text, dice.choice(ZONES), round(moment.timestamp() * 1000)))
    command = [str(node), str(SCRIPT), str(PEERS / "bullmq-6")]
    answer = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    theirs: list[Answer] = json.loads(answer.stdout)
    read = sum(isinstance(one, list) for one in theirs)
    assert read > len(asked) / 4
    assert len(asked) - read > len(asked) / 4
    different = []
    for question, their in zip(asked, theirs, strict=True):
        our = ours(*question)
        if isinstance(our, str):
            same = isinstance(their, str) or ODD.search(question[0])
        else:
            # Of what is never due theirs says so when it reads it, ours when it is asked.
            same = our == ([] if their == NEVER else their)
        if not same:
            different.append(f"{question}\n  theirs {their}\n  ours   {our}")
    assert not different, "\n".join(different)
