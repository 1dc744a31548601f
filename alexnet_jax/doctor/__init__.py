"""Will a recipe start to learn? An answer before it is trained."""
