"""Frames on a stream whose messages have a limit: what is too long travels in parts."""

from collections.abc import Iterator, Sequence

from dagrun.ports.frames import Frame
from dagrun_grpc.codec import Kind, Malformed, decode, encode, parsed
from dagrun_grpc.limits import MAX_FRAMES, PART
from dagrun_grpc.wire.dagrun.v1 import Part


def messages(frames: Sequence[Frame], kind: Kind) -> Iterator[bytes]:
    """Give the messages that carry frames.

    Raises:
        ValueError: a frame has more than :data:`~dagrun_grpc.limits.MAX_FRAMES` bytes.
    """
    encoded = encode(frames, kind)
    if len(encoded) <= PART:
        yield encoded
    elif len(encoded) <= MAX_FRAMES:
        last = (len(encoded) - 1) // PART
        for index in range(last + 1):
            piece = encoded[index * PART : (index + 1) * PART]
            yield bytes(kind(part=Part(data=piece, last=index == last)))
    elif len(frames) > 1:
        half = len(frames) // 2
        yield from messages(frames[:half], kind)
        yield from messages(frames[half:], kind)
    else:
        name = type(frames[0]).__name__
        raise ValueError(f"a {name} of {len(encoded)} bytes; at most {MAX_FRAMES} are possible")


class Joiner:
    """Puts together again what :func:`messages` took apart."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._begun = bytearray()

    def take(self, encoded: bytes) -> Sequence[Frame]:
        """Take a message; give the frames that are complete with it, or none.

        Raises:
            Malformed: it is none, or does not belong here.
        """
        message = parsed(encoded, self._kind)
        if message.part is None:
            if self._begun:
                raise Malformed("frames between the parts of a message")
            return decode(message)
        if message.frames:
            raise Malformed("frames beside a part")
        self._begun += message.part.data
        if len(self._begun) > MAX_FRAMES:
            raise Malformed(f"more than {MAX_FRAMES} bytes in parts")
        if not message.part.last:
            return ()
        whole = parsed(bytes(self._begun), self._kind)
        self._begun.clear()
        if whole.part is not None:
            raise Malformed("a part within parts")
        return decode(whole)
