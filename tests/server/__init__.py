"""Against a private server: one file a behaviour."""
