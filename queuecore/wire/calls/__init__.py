"""Requests to the server as values: one pure function a script, one generator an operation.

Nothing here touches a socket. ``base`` says what a request is; the other modules build requests
and decode their answers; :mod:`queuecore.wire.run` carries them out, blocking or awaited.
"""
