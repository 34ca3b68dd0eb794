"""A company's evening, for the pictures of the docs: many queues, some of which are in trouble."""
