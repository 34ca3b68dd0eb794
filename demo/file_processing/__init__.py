"""The queue ``file_processing``: thumbnails of the pictures that are dropped into a folder."""
