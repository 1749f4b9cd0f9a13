"""The last good blocks on disk, so that a restart leaves no hole: `file` is SQLite's side, `writer` the thread's."""

from exporter.state.file import EVERY_AUTOMATION, SavedAnswer, SavedBlock, StateFile, examine, open_state
from exporter.state.writer import StateWriter

__all__ = ["EVERY_AUTOMATION", "SavedAnswer", "SavedBlock", "StateFile", "StateWriter", "examine", "open_state"]
