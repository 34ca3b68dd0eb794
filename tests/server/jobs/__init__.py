"""An app with processors, for the tests of ``manage.py runworker``."""
