"""In which order the runs below a run are shown."""

from dagrun.cli.tree import Branch, _by_node


def started(node_id, item=None, attempt=1):
    return Branch("r", "w", "1.0.0", "running", False, node_id, item, attempt)


def test_runs_of_one_node_stand_together_by_item_and_attempt_whenever_they_were_started():
    each = [started("each", item, attempt) for item, attempt in ((3, 1), (0, 1), (10, 1), (3, 2))]
    children = [started("first"), each[0], each[1], started(None), each[2], each[3]]
    shown = [(one.node_id, one.item, one.attempt) for one in _by_node(children)]
    assert shown == [
        ("first", None, 1),
        ("each", 0, 1),
        ("each", 3, 1),
        ("each", 3, 2),
        ("each", 10, 1),
        (None, None, 1),
    ]
