import time

import pytest

from dagrun.domain.document.loader import load_document
from dagrun.domain.unfilled import in_python, in_shell
from dagrun.errors import DefinitionError
from dagrun.plugin.loading import load_plugins
from dagrun.roles.documents import catalogue
from dagrun_lua.executor import unfilled as in_lua

HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n  nodes:\n"


@pytest.mark.parametrize(
    "code",
    [
        "echo ${inputs.x}",
        'echo "a ${inputs.x} b"',
        "cat <<END\nit's ${inputs.x}\nEND\n",
        "cat <<'END'\n${literal}\nEND\necho ${inputs.x}",
        "echo 'a' # b\n${inputs.x}",
    ],
)
def test_what_sh_takes_for_a_variable_is_found(code):
    assert "${inputs.x}" in list(in_shell(code))


@pytest.mark.parametrize(
    "code",
    [
        "echo '${inputs.x}'",
        "echo \\${inputs.x}",
        'echo "\\${inputs.x}"',
        "# ${inputs.x}\necho",
        "cat > w.yaml <<'END'\n${inputs.x}\nEND\n",
        "cat > w.yaml <<\\END\n${inputs.x}\nEND",
        'cat <<-"END"\n\t${inputs.x}\n\tEND\n',
        "echo \"$(echo '${inputs.x}')\"",
        "for item in a b; do echo ${item}; done",
        "item=3; echo ${item}",
        "read item; echo ${item}",
        ". ./lib.sh; echo ${item}",
    ],
)
def test_what_sh_leaves_alone_or_may_know_is_not_found(code):
    assert list(in_shell(code)) == []


@pytest.mark.parametrize(
    ("find", "code", "found"),
    [
        (in_shell, "echo ${item} $item", ["${item}"]),
        (in_python, 'print("hello ${inputs.name}")', ["${inputs.name}"]),
        (in_python, 'x = {"a": ["${item}"]}', ["${item}"]),
        (in_python, "f\"${inputs['n']} ${{item}} ${item}\"", []),
        (in_python, 'from string import Template\nTemplate("${item}")', []),
        (in_python, 'open("w.yaml").read().replace("${inputs.x}", "1")', []),
        (in_python, '"""Like ${inputs.x}."""  # ${inputs.x}', []),
        (in_python, "x = ${inputs.x}", []),
        (in_lua, 'print("hello ${inputs.name}") -- ${item}', ["${inputs.name}"]),
        (in_lua, "return {a = [[${item}]]}", ["${item}"]),
        (in_lua, "return {a = ('${item}'):gsub('x', 'y')}", []),
        (in_lua, "return {a = '${item}", []),
    ],
)
def test_each_language_says_what_nothing_in_it_fills_in(find, code, found):
    assert list(find(code)) == found


@pytest.fixture(scope="module")
def known():
    return catalogue(load_plugins().registry)


@pytest.mark.parametrize(
    "node",
    [
        '{type: shell, code: "echo ${inputs.x}"}',
        '{type: shell, code: "echo ${nodes.a.x}"}',
        '{type: shell, code: "echo ${run.id}"}',
        '{type: shell, code: "echo ${item}"}, for_each: [1]',
        '{type: shell, code: "echo ${item.name}"}, for_each: [{name: a}]',
        "{type: python, code: \"print('${item_index}')\"}, for_each: [1]",
        "{type: lua, code: \"print('${inputs.x}')\"}",
    ],
)
def test_what_was_meant_to_be_filled_in_in_code_is_told(known, node):
    text = f"{HEAD}    - {{id: a, executor: {node}}}\n"
    with pytest.raises(DefinitionError) as caught:
        load_document(text, file="f.yaml", catalogue=known)
    (problem,) = caught.value.problems
    assert problem.path == "spec.nodes[0].executor.code"
    assert problem.message.endswith("} is not filled in here; hand it over in env")
    assert (problem.line, problem.column) == (6, text.splitlines()[5].index("code: ") + 7)


@pytest.mark.parametrize(
    "node",
    [
        '{type: shell, code: "echo ${item}"}',
        '{type: shell, code: "echo ${item}"}, for_each: [1], env: {item: "${item}"}',
        '{type: shell, code: "echo ${item}", env: {item: "${item}"}}, for_each: [1]',
        '{type: shell, code: "echo ${item} ${inputs[1]} ${run} ${inputs#x} ${items.x}"}',
        "{type: python, code: \"print('${x.y} ${items} ${item:-1}')\"}, for_each: [1]",
    ],
)
def test_what_the_code_may_mean_is_not(known, node):
    load_document(f"{HEAD}    - {{id: a, executor: {node}}}\n", file="f.yaml", catalogue=known)


@pytest.mark.parametrize(
    "code",
    ['"' * 200_001 + "${x", "'" + "<<a\n" * 100_000, "${" * 200_000, "#" * 300_000, "\\" * 200_001],
)
def test_looking_for_it_takes_no_time_to_speak_of(code):
    started = time.process_time()
    list(in_shell(code))
    assert time.process_time() - started < 1
