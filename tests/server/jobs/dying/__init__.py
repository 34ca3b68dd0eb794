"""An app whose presence lets the history collector die in a worker."""
