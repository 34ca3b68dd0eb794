"""The app whose workers an operator has on their hands in ``test_night.py``."""
