"""No server, no database: the package's values, file by file."""
