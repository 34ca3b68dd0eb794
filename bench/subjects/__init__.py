"""The processes that are measured: one file an implementation, started afresh for each trial."""
