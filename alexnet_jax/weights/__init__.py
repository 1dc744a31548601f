"""Other programs' weights in, and this program's out."""
