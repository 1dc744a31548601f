"""The net: its layers, the table of the known AlexNets, and how they are listed and drawn."""
