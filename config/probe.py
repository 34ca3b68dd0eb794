"""``python -m config.probe [URL]``: whether the web process is ready, as a container asks it.

Without Django, so that it costs little. It names a host that the project serves.
"""

import os
import sys
import urllib.error
import urllib.request

ADDRESS = "http://127.0.0.1:8000/readyz"


def main(url: str) -> int:
    """Print what the process answers; return the exit code."""
    request = urllib.request.Request(url, headers={"X-Forwarded-Proto": "https"})
    host = os.environ.get("DJANGO_ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".")
    if host and host != "*":
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            print(answer.read(1000).decode(errors="replace"))
            return 0
    except urllib.error.HTTPError as error:
        print(error.code, error.read(1000).decode(errors="replace"))
    except OSError as error:
        print(error)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ADDRESS))
