"""What is wrong with an ``http`` node is told before it runs, with the option's name."""

import pytest

from dagrun.builtin.http import HttpOptions
from dagrun.domain.document.catalogue import structure_options
from dagrun.domain.jsonvalue import MAX_OUTPUT
from dagrun.errors import DefinitionError
from dagrun.plugin.loading import load_plugins
from dagrun.roles.documents import catalogue, load_file

HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"


def options(**given):
    return structure_options(HttpOptions, {"url": "http://a.test/", **given})


WRONG = [
    ({"url": "ftp://a.test"}, "'url'.*does not begin with http:// or https://"),
    ({"url": "//a.test"}, "'url'"),
    ({"url": "http://"}, "'url'"),
    ({"url": "http:///path"}, "'url'"),
    ({"url": "file:///etc/passwd"}, "'url'"),
    ({"url": "http://user:password@a.test/"}, "'url' may hold no user's name; write 'auth'"),
    ({"url": "http://a.test/\r\nHost: b"}, "'url': line breaks"),
    ({"url": "http://a .test/"}, "'url'"),
    ({"url": 1}, "url: text is needed"),
    ({"method": "GET /"}, "'method'"),
    ({"method": "CONNECT"}, "'method'"),
    ({"method": "trace"}, "'method'"),
    ({"method": "G\r\nET"}, "'method'"),
    ({"headers": {"X\r\nY": "1"}}, "'headers'.*is no name of a header"),
    ({"headers": {"": "1"}}, "'headers'"),
    ({"headers": {"X Y": "1"}}, "'headers'"),
    ({"headers": {"X": "1\r\nY: 2"}}, "'headers': X: line breaks"),
    ({"headers": {"X": "1\n"}}, "'headers': X: line breaks"),
    ({"headers": {"X": "\0"}}, "'headers': X: line breaks"),
    ({"headers": {"X": ["1"]}}, "'headers': X: text is needed"),
    ({"headers": {"Host": "b.test"}}, "'headers': Host is set by dagrun itself"),
    ({"headers": {"content-length": "0"}}, "'headers': content-length"),
    ({"headers": {"Transfer-Encoding": "chunked"}}, "'headers'"),
    ({"headers": {"X-Dagrun-Epoch": "9"}}, "'headers'.*reserved"),
    ({"headers": {"Accept": "a", "accept": "b"}}, "'headers': accept is there twice"),
    ({"params": {"a": {"b": 1}}}, "'params': a: text or a number is needed"),
    ({"form": {"a": [[1]]}}, "'form': a: text or a number is needed"),
    ({"json": 1, "body": ""}, "only one of 'json', 'body' and 'form'"),
    ({"json": None, "form": {}}, "only one of 'json', 'body' and 'form'"),
    ({"auth": {"username": "a:b"}}, "'username' of 'auth' may hold no ':'"),
    ({"auth": {"username": "a", "password": "b\n"}}, "'auth' may hold no control characters"),
    ({"auth": {"user": "a"}}, "auth.user: the key 'user' is not known here"),
    ({"auth": {"username": "a"}, "headers": {"authorization": "b"}}, "either 'auth' or the header"),
    ({"expect": 99}, "'expect': 99 is no status"),
    ({"expect": "1xx"}, "'expect': '1xx' is no status"),
    ({"expect": ["2xx", "ok"]}, "'expect': 'ok' is no status"),
    ({"expect": []}, "'expect' names no status"),
    ({"expect": True}, "expect: a whole number or text or a list is needed"),
    ({"max_bytes": 0}, "'max_bytes': a number from 1 to"),
    ({"max_bytes": MAX_OUTPUT + 1}, "'max_bytes': a number from 1 to"),
    ({"max_redirects": 0}, "'max_redirects': a number from 1 to 50"),
    ({"max_redirects": 3, "follow_redirects": False}, "'max_redirects' has no effect"),
    ({"connect_timeout": "soon"}, "'connect_timeout': 'soon' is no duration"),
    ({"idle_timeout": 0}, "'idle_timeout': a time above 0"),
    ({"verify": False, "ca_file": "a"}, "'ca_file' has no effect"),
    ({"key_file": "a"}, "'key_file' has no effect"),
    ({"verify": "no"}, "verify: true or false is needed"),
    ({"timeout": 3}, "the key 'timeout' is not known here"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_a_wrong_option_is_refused_by_name(given, message):
    with pytest.raises(ValueError, match=message):
        options(**given)


RIGHT = [
    {"url": "HTTPS://a.test:8443/path?query=1#part"},
    {"url": "http://[::1]:80/"},
    {"url": "http://a.test/user@home"},
    {"method": "propfind"},
    {"headers": {"X-Number": 1, "X-Yes": True, "X-Nothing": None, "X-Tab": "a\tb"}},
    {"params": {"a": [1, "b", None], "c": None}},
    {"json": None},
    {"form": {"a": "b"}},
    {"auth": {"username": "", "password": "token"}},
    {"expect": 404},
    {"expect": "404"},
    {"expect": [200, "3XX"]},
    {"connect_timeout": 0.5, "idle_timeout": "1h"},
    {"cert_file": "both.pem"},
]


@pytest.mark.parametrize("given", RIGHT)
def test_a_right_option_is_taken(given):
    options(**given)


@pytest.mark.parametrize(
    ("expect", "taken", "refused"),
    [
        ("2xx", [200, 204, 299], [199, 301, 404]),
        (201, [201], [200]),
        (["2xx", 404, "304"], [200, 404, 304], [403, 500]),
    ],
)
def test_a_status_is_expected_by_number_or_class(expect, taken, refused):
    wanted = options(expect=expect)
    assert [wanted.expects(status) for status in (*taken, *refused)] == [
        *(True for _ in taken),
        *(False for _ in refused),
    ]


@pytest.fixture
def problems(tmp_path):
    def find(executor):
        file = tmp_path / "w.yaml"
        file.write_text(HEAD + f"  nodes: [{{id: a, executor: {{type: http, {executor}}}}}]\n")
        try:
            load_file(file, catalogue(load_plugins().registry))
        except DefinitionError as error:
            return [problem.message for problem in error.problems]
        return []

    return find


@pytest.mark.parametrize(
    "executor",
    [
        "url: '${inputs.url}'",
        "url: 'http://${inputs.host}/x', method: '${inputs.method}'",
        "url: '${inputs.url}', headers: {X: '${inputs.x}'}, json: '${inputs}'",
        "url: '${inputs.url}', expect: '${inputs.expect}', max_bytes: '${inputs.most}'",
        "url: '${inputs.url}', auth: {username: '${inputs.name}', password: '${inputs.word}'}",
        "url: '${inputs.url}', params: '${inputs.params}', connect_timeout: '${inputs.time}'",
    ],
)
def test_options_that_are_filled_in_later_are_not_refused_early(problems, executor):
    assert problems(executor) == []


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        ("url: '${inputs.url}', method: 'G T'", "'method'"),
        ("url: '${inputs.url}', headers: {'X Y': a}", "'headers'"),
        ("url: '${inputs.url}', json: 1, body: a", "only one of"),
        ("url: '${inputs.url}', expect: 7", "'expect'"),
        ("url: '${inputs.url}', max_bytes: 0", "'max_bytes'"),
        ("url: '${inputs.url}', auth: {user: a}", "the key 'user' is not known"),
        ("url: 'a.test'", "'url'"),
        ("method: GET", "the key 'url' is missing"),
    ],
)
def test_what_is_wrong_whatever_the_url_becomes_is_told_at_once(problems, executor, message):
    (problem,) = problems(executor)
    assert message in problem
