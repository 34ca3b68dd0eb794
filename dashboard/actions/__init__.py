"""What is done: POST only, one noun a file."""
