"""What others rely on: names, key layout, packaging, settings."""
