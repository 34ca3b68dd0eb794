"""Values as text, markup and SVG: pure functions, no I/O, no request."""
