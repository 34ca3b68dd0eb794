"""What is read: GET only, one screen a file."""
