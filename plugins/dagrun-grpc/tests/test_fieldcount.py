"""What would take long to be read is refused before."""

import pytest

from dagrun_grpc.fieldcount import TooManyFields, check_fields
from dagrun_grpc.wire.dagrun import v1

RUNS = [v1.RunEpoch(run_id="r", epoch=2) for _ in range(10)]
FILES = {f"{number}.lua": "return {}" for number in range(10)}
OF_ANOTHER_RELEASE = b"\xfa\x07"  # field 127, of bytes


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (v1.ListRunsRequest(workflow_id="w" * 100, limit=7), 2),
        (v1.ReportStatusRequest(status=v1.EngineStatus(engine_id="e" * 50, runs=RUNS)), 32),
        (v1.ValidateWorkflowRequest(document=v1.Document(text=b"\x0a\x00" * 50, files=FILES)), 32),
        (v1.StreamEventsRequest(filter=v1.EventFilter(types=["node.failed"] * 20)), 21),
        (v1.EngineFrame(hello=v1.Hello(resources={"cores": 2.5}, release="r" * 20)), 5),
    ],
)
def test_all_fields_count_and_nothing_within_bytes_does(message, fields):
    encoded = bytes(message)
    check_fields(encoded, type(message), most=fields)
    with pytest.raises(TooManyFields, match=f"at most {fields - 1} are possible"):
        check_fields(encoded, type(message), most=fields - 1)


@pytest.mark.parametrize(
    "repeated", [b"\x18\x01", b"\x1b", b"\x78\x01", OF_ANOTHER_RELEASE + b"\0"]
)
def test_a_field_that_comes_again_and_again_counts_each_time(repeated):
    check_fields(repeated * 20, v1.ListRunsRequest, most=20)
    with pytest.raises(TooManyFields):
        check_fields(repeated * 21, v1.ListRunsRequest, most=20)


def test_numbers_that_are_packed_count_as_many():
    with pytest.raises(TooManyFields):
        check_fields(b"\x1a\x40" + b"\1" * 64, v1.ListRunsRequest, most=60)


def test_what_is_unknown_counts_more_behind_much_of_it():
    large = OF_ANOTHER_RELEASE + b"\x80\x80\x01" + bytes(16384)
    check_fields(large + b"\x0a\x00" * 3, v1.ListRunsRequest, most=100)
    with pytest.raises(TooManyFields):
        check_fields(large * 5, v1.ListRunsRequest, most=100)


@pytest.mark.parametrize(
    "junk", [b"\x0a", b"\xff" * 20, b"\x0a\xff\xff", b"\x80" * 5, b"\x12\x7fx"]
)
def test_what_is_no_message_is_left_to_who_reads_it(junk):
    check_fields(junk, v1.StreamEventsRequest, most=1)
