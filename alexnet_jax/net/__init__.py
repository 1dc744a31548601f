"""The net: its layers, the table of architectures, and how they are listed and drawn."""
