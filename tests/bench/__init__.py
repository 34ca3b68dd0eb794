"""The bench runs and reports every row; how fast anything is, no test asserts."""
