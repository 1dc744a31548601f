"""The machine: devices, processes, signals, command lines, files, random streams."""
