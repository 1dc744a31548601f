"""Cases as users have them: their folders, their files, their shells.

Each is a test with one line that says what is right. `python -m tests.cases` prints that line.
"""
