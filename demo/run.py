"""``make demo``: server, web, worker and a stream of jobs, until Ctrl-C.

Everything lies in ``.queuecore/`` and is there again at the next start: jobs, database, pictures,
mails, logs, the password. The environment variable ``PORT`` chooses another port than 8000,
``QUEUECORE_URL`` another server than the embedded one. ``--node`` adds a Node service that uses
BullMQ on the same queues (``make demo-node`` installs what it needs).
"""

import argparse
import http.client
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from demo.children import Child, EmbeddedServer, Failure

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
USER = "demo"
MISSING = "The package {} is missing: run `make demo`, or `pip install -r requirements.txt`."
START_TIMEOUT = 60  # seconds until the web server must answer


def main() -> int:
    """Run the demo; return the exit code."""
    options = arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    children: list[Child | EmbeddedServer] = []
    failure = ""
    try:
        run(options, children)
    except KeyboardInterrupt:
        pass
    except Failure as error:
        failure = str(error)
    finally:
        stop(children, quiet=bool(failure))
    if failure:
        print(failure, file=sys.stderr, flush=True)
    return 1 if failure else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo.run", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--node", nargs="?", const="", metavar="PATH", help="run the Node service, too"
    )
    return parser.parse_args()


def run(options: argparse.Namespace, children: list[Child | EmbeddedServer]) -> None:
    """Start everything, in order, then watch it; *children* are in the order of their stop."""
    port = free_port(os.environ.get("PORT") or "8000")
    node = find_node(options.node) if options.node is not None else None
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("DJANGO_DEBUG", "1")
    os.environ["DEMO_BASE_URL"] = f"http://{HOST}:{port}"
    print("Starting the server, the database, the web server and a worker ...", flush=True)
    home = set_up_django()
    url = server_url(children)
    password = set_up_database(home)

    def start(name: str, command: list[str], patience: float, **environment: str) -> Child:
        child = Child(
            name,
            command,
            environment=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
            folder=ROOT,
            log=logs / f"{name}.log",
            patience=patience,
        )
        children.insert(0, child)
        return child

    logs = home / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    python = sys.executable
    web = start(
        "web",
        [python, "-m", "daphne", "-b", HOST, "-p", str(port), "config.asgi:application"],
        patience=15,
    )
    until_it_answers(web, port)
    # Its own patience is WORKER["SHUTDOWN_TIMEOUT"]; ours must not be shorter.
    command = [python, "manage.py", "runworker", "--processes", "2", "--no-reload"]
    start("worker", command, patience=40)
    if node is not None:
        service = str(ROOT / "demo" / "node" / "service.mjs")
        start("node", [node, service], patience=15, QUEUECORE_URL=url)
    start(
        "stream",
        [python, "-m", "demo.stream"],
        patience=10,
        DEMO_INVOICES="0" if node is None else "1",
    )
    print(
        f"\n  Address   http://{HOST}:{port}/\n  User      {USER}\n  Password  {password}\n\n"
        f"  Ctrl-C stops it. Jobs, data and logs stay in {shown(home)}/.\n",
        flush=True,
    )
    while True:
        for child in children:
            child.check()
        time.sleep(0.2)


def stop(children: list[Child | EmbeddedServer], quiet: bool) -> None:
    """Stop the children in order, the embedded server last; at once where a signal more comes."""
    hurried: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: hurried.append(number))
    if children and not quiet:
        print("\nStopping ...", flush=True)
    for child in children:
        child.stop(hurry=lambda: bool(hurried))
    if children and not quiet:
        print("Stopped.", flush=True)


def free_port(text: str) -> int:
    """The port *text*, if it is one and nobody listens on it."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Failure(f"PORT={text} is no port: use a number up to 65535, such as PORT=8123.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except OSError as error:
            raise Failure(
                f"Port {text} cannot be used ({error.strerror}): "
                f"take another one, such as PORT={int(text) % 65000 + 1}."
            ) from None
    return int(text)


def find_node(path: str) -> str:
    """The Node that runs the service, once its packages are there."""
    node = path or shutil.which("node") or shutil.which("node", path=str(ROOT / ".tools/node/bin"))
    if not node or not shutil.which(node):
        raise Failure("Node was not found: install Node 20 or newer, or run `make demo-node`.")
    if not (ROOT / "demo/node/node_modules/bullmq").is_dir():
        raise Failure("The Node service lacks its packages: run `make demo-node`.")
    return node


def set_up_django() -> Path:
    """Load the project; return the folder of its data."""
    try:
        import daphne  # noqa: F401
        import django
        import PIL  # noqa: F401
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured
    except ModuleNotFoundError as error:
        raise Failure(MISSING.format(error.name)) from error
    try:
        django.setup()
        return Path(settings.HOME)
    except ModuleNotFoundError as error:
        raise Failure(MISSING.format(error.name)) from error
    except ImproperlyConfigured as error:
        raise Failure(str(error)) from error


def server_url(children: list[Child | EmbeddedServer]) -> str:
    """The address of the server that the project uses, once it answers."""
    from queuecore import Queue, conf
    from queuecore.errors import QueueCoreError

    try:
        url = conf.get_settings().connection("default").url
        if url is None:
            server = EmbeddedServer(conf.project_dir())
            children.append(server)  # before its start, which a signal may cut short
            return server.start()
        Queue("email").get_job_counts()
    except QueueCoreError as error:
        raise Failure(str(error)) from error
    return url


def set_up_database(home: Path) -> str:
    """Migrate, and return the password of the demo's user, who is made or put right."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.db import DatabaseError, connections

    from config.environment import stored_secret

    password = stored_secret(home / "demo_password", size=12)
    try:
        call_command("migrate", interactive=False, verbosity=0)
        user: Any = get_user_model().objects.filter(username=USER).first()
        if user is None:
            get_user_model().objects.create_superuser(USER, f"{USER}@example.com", password)
        elif not user.check_password(password):
            user.set_password(password)
            user.save()
    except DatabaseError as error:
        raise Failure(f"The database cannot be used: {error} (is {home} writable?)") from error
    connections.close_all()
    return password


def until_it_answers(web: Child, port: int) -> None:
    """Wait until the web server serves the first page."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        web.check()
        connection = http.client.HTTPConnection(HOST, port, timeout=START_TIMEOUT)
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
        except OSError:
            time.sleep(0.1)
            continue
        finally:
            connection.close()
        if status >= 500:
            raise Failure(f"The web server answers {status}; the reason is in {web.log}")
        return
    raise Failure(f"The web server did not answer in {START_TIMEOUT} s (log: {web.log})")


def shown(path: Path) -> str:
    """*path* as one would type it here."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
