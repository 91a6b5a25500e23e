import pytest

from dagrun.errors import NodeError
from dagrun.testing.executors import ExecutorSuite, open_context, options_of
from dagrun_example.awk import AwkExecutor


def awk(program, **more):
    return options_of(AwkExecutor, program=program, **more)


class TestAwk(ExecutorSuite):
    def executor(self):
        return AwkExecutor()

    def gives(self):
        return awk("BEGIN { print 42 }")

    def answer_of(self, outputs):
        return int(outputs["lines"][0])

    def fails(self):
        return awk("BEGIN { exit 3 }"), "exit_code"

    def prints(self):
        return awk('BEGIN { print "hello from the node" > "/dev/stderr" }')

    def hangs(self):
        return awk('BEGIN { system("echo $PPID > pid; exec sleep 600") }')

    def floods(self):
        return awk("BEGIN { while (1) print 1234567890 }")

    def tells_environment(self):
        return awk("BEGIN { for (name in ENVIRON) print name }")

    def names_of(self, outputs):
        return outputs["lines"]

    def tells_secret(self):
        return awk('BEGIN { if ("API_KEY" in ENVIRON) print ENVIRON["API_KEY"] }')

    def secret_of(self, outputs):
        return "\n".join(outputs["lines"]) or None


async def test_files_are_found_beside_the_document(tmp_path):
    (tmp_path / "a.txt").write_text("1 2\n3 4\n")
    options = awk("{ print $2 }", files=["a.txt"])
    async with open_context(options, tmp_path, base=tmp_path) as context:
        assert await AwkExecutor().execute(context) == {"lines": ["2", "4"]}


async def test_what_is_no_text_fails_the_node(tmp_path):
    async with open_context(awk(r'BEGIN { printf "\377" }'), tmp_path) as context:
        with pytest.raises(NodeError, match="no UTF-8"):
            await AwkExecutor().execute(context)
