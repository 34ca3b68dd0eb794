"""Everything that talks to the server; nothing above this package knows redis-py.

``calls`` builds requests as values, ``run`` carries them out, ``scripts`` loads ``lua/``,
``connections`` owns sockets, ``keys`` and ``codec`` know BullMQ's names and JSON.
"""
