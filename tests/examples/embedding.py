"""Embeds the queues and the page in a project of somebody else's, and visits it over HTTP."""

import re

from tests.examples.markdown import blocks
from tests.examples.site import Site, until
from tests.examples.test_quickstart import SILENT, free_port
from tests.examples.visitor import Page, Visitor
from tests.machine import ROOT

# What no page needs, for those who go without it.
WITHOUT_ADMIN = """
INSTALLED_APPS.remove("django.contrib.admin")
INSTALLED_APPS.remove("django.contrib.messages")
MIDDLEWARE = [one for one in MIDDLEWARE if "messages" not in one]
TEMPLATES[0]["OPTIONS"]["context_processors"] = ["django.template.context_processors.request"]
"""
# Django 6 has a policy of its own; pages keep theirs beside it.
POLICY = """
import django
if django.VERSION >= (6,):
    MIDDLEWARE += ["django.middleware.csp.ContentSecurityPolicyMiddleware"]
    SECURE_CSP = {"default-src": ["'self'", "https://cdn.example.org"]}
"""
# A WSGI server below a path, as gunicorn is with SCRIPT_NAME.
SERVE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
from wsgiref.simple_server import WSGIServer, make_server
from socketserver import ThreadingMixIn
from django.contrib.staticfiles.handlers import StaticFilesHandler
from mysite.wsgi import application
class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True
root, inner = "/intern", StaticFilesHandler(application)
def below(environ, start_response):
    if environ["PATH_INFO"].startswith(root + "/"):
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = root, environ["PATH_INFO"][len(root):]
    return inner(environ, start_response)
make_server("127.0.0.1", int(sys.argv[1]), below, Threads).serve_forever()
"""


def embed(site: Site, *, admin: bool = True) -> Site:
    """Do what docs/howto/embed.md says, in a project with a policy and, or without, the admin."""
    site.append("mysite/settings.py", POLICY)
    if not admin:
        site.append("mysite/settings.py", WITHOUT_ADMIN)
        urls = site.folder / "mysite/urls.py"
        text = urls.read_text().replace("from django.contrib import admin\n", "")
        urls.write_text(text.replace("    path('admin/', admin.site.urls),\n", ""))
    for block in blocks(ROOT / "docs/howto/embed.md"):
        site.play(block)
    site.append("serve.py", SERVE)
    assert site.manage("check").stdout == SILENT
    site.shell(
        "from queuecore import Queue\n"
        "(job,) = Queue('emails').get_jobs(['completed'])\n"
        "assert job.returnvalue == f'sent {job.id}'\n"
        "(job,) = Queue('monthly', connection='reports').get_jobs(['completed'])\n"
        "assert job.returnvalue == 'written'\n"
        "from django.contrib.auth import get_user_model\n"
        "Person = get_user_model()\n"
        "jane = Person(email='jane@example.org', is_superuser=True, is_staff=True)\n"
        "jane.set_password('a long password'); jane.save()\n"
    )
    site.close()
    return site


def resume(visitor: Visitor) -> Page:
    """Let the paused queue go on by its form, with the token of the page."""
    page = visitor.get("queues/emails/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None
    return visitor.get("queues/emails/resume/", {"csrfmiddlewaretoken": token[1]})


def visit(site: Site, *command: str, live: bool = True) -> None:
    """Serve the site by *command*, sign in, look at its pages, resume a queue.

    *live*: there is a socket, and it tells of the overview; else pages poll.
    """
    port = str(free_port())
    below = {"--root-path", "serve.py", "gunicorn"}.intersection(command)
    root = "/intern" if below else ""
    words = [one.format(port=port, root=root) for one in command]
    if "daphne" in words or "uvicorn" in words:
        words.append("mysite.asgi:application")
    site.shell("from queuecore import Queue\nQueue('emails').pause()")
    visitor = Visitor(f"http://127.0.0.1:{port}{root}/queues/")
    with site.background(*words):
        until(lambda: visitor.get().status, f"the start of {command}")
        page = visitor.sign_in("jane@example.org", "a long password")
        assert (page.status, page.url) == (200, visitor.mount), (page.status, page.url)
        assert f'data-live-poll="{root}/queues/live/poll/"' in page.text
        assert "the shop's own overview" not in page.text
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        if {"runserver", "serve.py"}.intersection(words):
            visitor.check_files(page)  # the others leave them to a web server
        assert "the shop's own overview" in visitor.get(f"http://127.0.0.1:{port}{root}/").text
        for address in ("queues/", "queues/emails/", "@reports/queues/monthly/", "workers/"):
            assert visitor.get(address).status == 200, address
        if live:
            told = visitor.hear()
            assert told["patches"], told
        else:
            assert "data-live-socket" not in page.text
            assert visitor.get("live/poll/?topic=overview").status == 200
        resumed = resume(visitor)
        assert resumed.status == 200, (resumed.status, resumed.text[:2000])
    log = (site.folder / "background.log").read_text()
    assert "Traceback" not in log, log
    site.shell("assert not Queue('emails').is_paused()")
    site.close()
