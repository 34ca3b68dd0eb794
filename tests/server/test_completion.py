"""The scripts of ``manage.py queues completion``, in real shells; names from a real project."""

import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from queuecore import Queue
from tests.machine import ROOT

# What bash gives a completion: the line, split at blanks, : and =.
BASH = r"""
_before() { COMPREPLY=(asked-before); }
complete -F _before python
source "$1"
shift
for line in "$@"; do
    COMP_LINE="$line" COMP_POINT=${#line} COMP_WORDS=() word=
    for ((i = 0; i < ${#line}; i++)); do
        one="${line:i:1}"
        case "$one" in
        ' ') [ -z "$word" ] || COMP_WORDS+=("$word"); word= ;;
        : | =) [ -z "$word" ] || COMP_WORDS+=("$word"); COMP_WORDS+=("$one"); word= ;;
        *) word+="$one" ;;
        esac
    done
    COMP_WORDS+=("$word") COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    [[ "$(complete -p python)" == *"-F _queuecore_bash python" ]] || exit 1
    _queuecore_bash "${COMP_WORDS[0]}" "$word"
    printf '%s\n' "${COMPREPLY[*]}"
done
"""
# What zsh gives one: the words. The editor itself, compadd, needs a terminal.
ZSH = r"""
compdef() { : }
typeset -A _comps
source "$1"
shift
for line in "$@"; do
    words=("${(@s: :)line}")
    _queuecore_answer "${words[-1]}" "${(@)words[1,-2]}" || _queuecore_found=asked-before
    print -r -- ${(f)_queuecore_found}
done
"""
SHELLS = {
    "bash": (["bash", "--norc", "-c", BASH, "bash"], r"my\ queue"),
    "zsh": (["zsh", "-f", "-c", ZSH, "zsh"], "my queue"),
}


@pytest.mark.parametrize("shell", [one for one in SHELLS if shutil.which(one)])
def test_words_are_completed(
    shell: str, server: object, child_environment: dict[str, str], tmp_path: Path
) -> None:
    command, quoted = SHELLS[shell]
    for name in ("emails", "my queue"):
        Queue(name).add("x")
    printed = StringIO()
    call_command("queues", "completion", shell, stdout=printed)
    script = tmp_path / "script"
    script.write_text(printed.getvalue())
    wanted = {
        "python manage.py queues sh": "show",
        "./manage.py queues schedulers p": "pause",
        "django-admin queues --settings x jobs emails --state fa": "failed",
        "python manage.py queues list --max-w": "--max-waiting",
        "python manage.py queues completion b": "bash",
        "python manage.py queues job emails ": "",
        "python manage.py runworker --conc": "--concurrency",
        "python manage.py migrate --fa": "asked-before",
        "python setup.py queues sh": "asked-before",
        f"{sys.executable} {ROOT}/manage.py queues show --connection default my": quoted,
    }
    answer = subprocess.run(
        [*command, script, *wanted],
        env={**os.environ, **child_environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert dict(zip(wanted, answer.stdout.split("\n"), strict=False)) == wanted
    assert answer.stderr == ""
