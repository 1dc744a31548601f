"""What a power loss would spare: the files and folders that were brought to disk."""

import os
import pathlib

import pytest


class Synced:
    """Notes each file or folder that is brought to disk, and whether `watched` was there then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, watched: pathlib.Path):
        self.seen: dict[int, bool] = {}  # by inode, which a rename does not change
        fsync = os.fsync

        def note(number: int) -> None:
            fsync(number)
            self.seen[os.fstat(number).st_ino] = watched.exists()

        monkeypatch.setattr(os, "fsync", note)

    def lost(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Return what is in the folder, itself included, and was not brought to disk."""
        return [x for x in (folder, *folder.rglob("*")) if x.stat().st_ino not in self.seen]
