"""Frames of HTTP/2, refused by their length before the rest of them has come."""

from typing import Final

from h2.frame_buffer import FrameBuffer
from hyperframe.frame import Frame

_LENGTH: Final = 3  # bytes, the first ones of a frame


class GuardedFrames(FrameBuffer):
    """h2's, which looks at a frame's length when all of it is there: 16 MiB, of a stranger."""

    def __next__(self) -> Frame:
        """Give the next frame; called by h2.

        Raises:
            FrameTooLargeError: it announces more than was agreed on.
        """
        if len(self._data) >= _LENGTH:
            self._validate_frame_length(int.from_bytes(self._data[:_LENGTH], "big"))
        return super().__next__()
