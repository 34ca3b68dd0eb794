"""Lint of queuecore/lua: ``luac5.1 -p`` and luacheck over each script as the server gets it.

A file alone says little: its functions come from includes. So each script is checked composed, and
every finding is put back to the file and line that it came from.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from queuecore.errors import ScriptError
from queuecore.wire.scripts import Script, load, names
from tests.machine import ROOT

FINDING = re.compile(r"^[^:\n]*\.lua:(\d+):(.*)$", re.MULTILINE)


def findings(script: Script, folder: Path) -> set[str]:
    """What both programs say about ``script``, each as ``file:line: words``."""
    file = folder / f"{script.name}.lua"
    file.write_bytes(script.source)
    found = set()
    for command in (
        ["luac5.1", "-p", str(file)],
        [
            *("luacheck", "--config", str(ROOT / ".luacheckrc"), "--formatter", "plain"),
            *("--no-cache", "--codes", str(file)),
        ],
    ):
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        said = answer.stdout + answer.stderr
        places = FINDING.findall(said)
        if answer.returncode and not places:
            found.add(said.strip())
        for line, words in places:
            source, number = script.origin[int(line) - 1]
            # luacheck puts the column before its words.
            found.add(f"queuecore/lua/{source}.lua:{number}:{re.sub(r'^[0-9]+:', '', words)}")
    return found


def main() -> int:
    found: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        for name in names():
            try:
                found |= findings(load(name), Path(folder))
            except ScriptError as error:
                found.add(f"queuecore/lua/{name}.lua: {error}")
    for finding in sorted(found):
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
