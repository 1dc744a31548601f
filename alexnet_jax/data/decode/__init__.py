"""From the bytes of one image file to a square of RGB."""
