"""The dashboard, measured: pages, sockets, a big retry; Bull Board beside it on the same jobs."""
