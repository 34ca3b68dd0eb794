"""Stack traces of Python and Node as frames."""

import pytest

from dashboard.draw import job_panels, traces
from tests.dashboard.hostile import CORPUS, assert_harmless

PYTHON = """Traceback (most recent call last):
  File "/srv/app/.venv/lib/python3.11/site-packages/queuecore/worker/execute.py", line 90, in run
    return function(job)
  File "/srv/app/shop/mail/smtp.py", line 112, in deliver
    self.conn.send_message(msg)
    ~~~~~~~~~~~~~~~~~~~~~~^^^^^
  File "/usr/lib/python3.11/smtplib.py", line 905, in sendmail
    raise SMTPServerDisconnected
smtplib.SMTPServerDisconnected: Connection unexpectedly closed: timed out
"""

CHAINED = """Traceback (most recent call last):
  File "/srv/app/a.py", line 1, in a
    {}["x"]
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/app/b.py", line 2, in b
    a()
ValueError: no x
"""

NODE = """TypeError: Cannot read properties of undefined (reading 'to')
    at send (/srv/mail/src/send.js:12:34)
    at async Worker.processJob (/srv/mail/node_modules/bullmq/dist/cjs/classes/worker.js:455:28)
    at async /srv/mail/node_modules/bullmq/dist/cjs/classes/worker.js:190:5
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)"""


def test_a_python_trace() -> None:
    trace = traces.read(PYTHON)
    assert (trace.error, trace.message) == (
        "SMTPServerDisconnected",
        "Connection unexpectedly closed: timed out",
    )
    assert [group.library for group in trace.groups] == [True, False, True]
    own = trace.groups[1].frames[0]
    assert (own.file, own.line, own.name) == ("/srv/app/shop/mail/smtp.py", 112, "deliver")
    assert own.code == ["self.conn.send_message(msg)"]
    assert own.short_file == "shop/mail/smtp.py"


def test_folded_groups_name_their_libraries() -> None:
    python, node = traces.read(PYTHON), traces.read(NODE)
    assert [python.groups[0].packages, python.groups[2].packages] == ["queuecore", "smtplib"]
    assert node.groups[1].packages == "bullmq, internal"


def test_of_a_chain_the_last_error_counts() -> None:
    trace = traces.read(CHAINED)
    assert (trace.error, trace.message) == ("ValueError", "no x")
    assert len(trace.groups) == 2


def test_a_node_trace() -> None:
    trace = traces.read(NODE)
    assert trace.error == "TypeError"
    assert [(group.library, len(group.frames)) for group in trace.groups] == [(False, 1), (True, 3)]
    assert trace.groups[0].frames[0].name == "send"


@pytest.mark.parametrize(
    ("reason", "parts"),
    [
        ("ValueError: bad", ("ValueError", "bad")),
        ("smtplib.SMTPServerDisconnected: closed", ("SMTPServerDisconnected", "closed")),
        ("job stalled more than allowable limit", ("", "job stalled more than allowable limit")),
        ("Cannot connect: no route", ("", "Cannot connect: no route")),
        ("Timeout: 30 s", ("Timeout", "30 s")),
        ("", ("", "")),
        ("ETIMEDOUT: x", ("", "ETIMEDOUT: x")),
    ],
)
def test_the_class_of_an_error(reason: str, parts: tuple[str, str]) -> None:
    assert traces.split(reason) == parts


def test_a_text_without_frames_is_its_own_message() -> None:
    trace = traces.read("just words\nand more")
    assert trace.groups == []
    assert trace.message == "just words\nand more"


def test_a_thousand_frames_are_bounded() -> None:
    text = "Traceback\n" + '  File "/srv/app/a.py", line 1, in a\n' * 5_000 + "RecursionError: deep"
    assert sum(len(group.frames) for group in traces.read(text).groups) == 200


@pytest.mark.parametrize("text", CORPUS)
def test_hostile_traces_stay_texts(text: str) -> None:
    trace = f'  File "{text}", line 3, in {text}\n    {text}\n{text}: {text}'
    assert_harmless(job_panels.attempt(1, trace, open_now=True))
    assert_harmless(job_panels.attempt(1, text, open_now=False))
