"""Whether a recipe will start, before it is trained."""
