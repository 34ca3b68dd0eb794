"""An app with the processors that always work."""
