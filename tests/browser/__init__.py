"""In a real Chromium: what a person would do, under the strict CSP."""
