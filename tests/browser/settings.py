"""The tests' settings for the web server that the browser visits: it keeps a history, too."""

from tests.settings import *  # noqa: F403
from tests.settings import QUEUECORE

QUEUECORE = QUEUECORE | {"DASHBOARD": {"ENVIRONMENT": "Staging", "ENVIRONMENT_NOTE": "tests"}}
# As where no test runs.
WHITENOISE_AUTOREFRESH = False
