"""The project's tests; CONTRIBUTING.md says which folder holds what."""
