"""A sample shop: what a Django project with background jobs looks like, one package a queue."""
