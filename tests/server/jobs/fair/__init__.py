"""An app whose queues compete."""
