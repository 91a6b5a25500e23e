"""Frames of HTTP/2, refused by their length before the rest of them has come."""

from typing import Final

from h2.frame_buffer import FrameBuffer
from hyperframe.frame import Frame

_LENGTH: Final = 3  # bytes, the first ones of a frame


class GuardedFrames(FrameBuffer):
    """h2's, which looks at a frame's length when all of it is there: 16 MiB, of a stranger.

    Args:
        server: whether this side was called.
        turn: how many frames it gives until :meth:`next_turn`.
    """

    def __init__(self, *, server: bool, turn: int) -> None:
        super().__init__(server=server)
        self._turn = turn
        self.given = 0
        """Frames of all turns."""

        self._last = turn
        """How many they may become in this turn."""

    def next_turn(self) -> None:
        """Give some frames more."""
        self._last = self.given + self._turn

    @property
    def waits(self) -> bool:
        """Whether the turn is over, and there may be another frame."""
        return self.given >= self._last

    def __next__(self) -> Frame:
        """Give the next frame; called by h2.

        Raises:
            FrameTooLargeError: it announces more than was agreed on.
        """
        if self.waits:
            raise StopIteration
        if len(self._data) >= _LENGTH:
            self._validate_frame_length(int.from_bytes(self._data[:_LENGTH], "big"))
        frame = super().__next__()
        self.given += 1
        return frame
