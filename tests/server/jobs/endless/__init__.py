"""An app whose jobs do not end by themselves."""
