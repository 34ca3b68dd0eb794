"""Pages, actions, access, the live hub and its socket."""
