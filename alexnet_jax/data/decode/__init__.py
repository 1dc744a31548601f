"""One file's bytes to a square of RGB."""
