"""Headers that are sent."""

from hpack import Encoder

from dagrun_grpc.limits import MAX_TABLE


class BoundedEncoder(Encoder):
    """hpack's, which remembers as much of the headers as the peer says that it will.

    That may be 4 GiB, and each header is looked for among all that are remembered.
    """

    @property
    def header_table_size(self) -> int:
        """Bytes of headers that are remembered, at most; set by h2 to what the peer allows."""
        return self.header_table.maxsize

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        self.header_table.maxsize = min(value, MAX_TABLE)
        if self.header_table.resized:
            changes = [*self.table_size_changes, self.header_table.maxsize]
            # RFC 7541, section 4.2: the smallest one is said, and then the last one
            self.table_size_changes = sorted({min(changes), changes[-1]})
