#!/usr/bin/env python
"""The project's command line; DJANGO_DEBUG is 1 here unless it is set."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("DJANGO_DEBUG", "1")
    try:
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError as error:
        if error.name != "django":
            raise
        raise SystemExit(
            "Django is not installed in this Python. Run: pip install -r requirements.txt "
            "(or `make demo`, which makes a virtual environment of its own)."
        ) from error
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
