"""The live side: one hub a web process, one socket a page, patches for what changes."""
