"""No text carries a secret past the mask, however it is encoded and cut."""

import base64

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dagrun.domain.masking import MASK, Mask, Masker
from dagrun.domain.secret_forms import MIN_LINE, MIN_VALUE, writings
from dagrun.testing.secrets import ENCODERS

LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="*\0")
TEXTS = st.text(alphabet=st.one_of(st.sampled_from("aA1=\\/%+-_\"' \n\r\tu0e"), LETTERS))


def _is_value(text):
    return len(text.encode()) >= MIN_VALUE


SECRETS = (
    st.one_of(
        st.text(alphabet=st.sampled_from("ab/+%\\\" \né😀<&'~"), min_size=4, max_size=20),
        st.text(alphabet=LETTERS, min_size=4, max_size=40),
        st.text(alphabet=st.sampled_from("abcdefgABCDEFG0123456789"), min_size=4, max_size=300),
    )
    .map(str.strip)
    .filter(_is_value)
)


def encoded(name, secret):
    """Give a secret in one form, and the padding behind it, which says nothing of it."""
    form = ENCODERS[name](secret)
    if "base64" not in name:
        return form, ""
    bare = form.removesuffix("%3D").removesuffix("%3D").rstrip("=")
    return bare, form.removeprefix(bare)


def chunks(data, sizes):
    """Cut data into pieces of these sizes, over and over."""
    at = number = 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        yield data[at : at + size]
        at, number = at + size, number + 1


def masked(mask, data, sizes):
    """Send data through a mask piece by piece; what is held back stays within its bound."""
    masker = Masker(mask)
    out = b""
    for chunk in chunks(data, sizes):
        out += masker.feed(chunk)
        assert masker.held < mask.longest()
    return out + masker.finish()


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@given(
    secret=SECRETS,
    name=st.sampled_from(sorted(ENCODERS)),
    before=TEXTS,
    after=TEXTS,
    sizes=SIZES,
    times=st.integers(1, 3),
)
@example(secret='pa"ss', name="json", before="\\", after="", sizes=[1], times=1)
@example(secret="a%25b", name="quote", before="%", after="25", sizes=[1], times=2)
@settings(deadline=None)
def test_no_form_of_a_secret_gets_through(secret, name, before, after, sizes, times):
    form, padding = encoded(name, secret)
    text = (before + form + padding) * times + after
    out = masked(Mask([secret]), text.encode(), sizes).decode()
    assert MASK in out
    assert all(form not in part for part in out.split(MASK))


@given(
    secret=SECRETS,
    name=st.sampled_from(sorted(ENCODERS)),
    before=TEXTS,
    after=TEXTS,
    sizes=SIZES,
)
@example(secret="<<<'", name="set -x", before="", after="", sizes=[1])
@example(secret="<<<'", name="json", before="", after="'", sizes=[1])
@settings(deadline=None)
def test_what_stands_beside_a_secret_stays(secret, name, before, after, sizes):
    mask = Mask([secret])
    before, after = (before + "\0").encode(), ("\0" + after).encode()
    assume(not mask.find(before, final=True)[0] + mask.find(after, final=True)[0])
    assume(secret[-1] not in "%\\")  # what such a character's escape ends with may be left
    form, padding = encoded(name, secret)
    out = masked(mask, before + (form + padding).encode() + after, sizes)
    assert out == before + b"***" + padding.encode() + after


@given(
    secret=SECRETS,
    before=st.binary(max_size=8),
    after=st.binary(max_size=8),
    safe=st.booleans(),
    width=st.sampled_from([0, 3, 60, 64, 76]),
    end=st.sampled_from(["\n", "\r\n", "\\n", "\\r\\n", "%0A", "%0D%0A"]),
    sizes=SIZES,
)
@example(secret="a" * 60, before=b"", after=b"", safe=False, width=76, end="\\n", sizes=[1])
@settings(deadline=None)
def test_no_secret_gets_through_inside_a_longer_base64_text(
    secret, before, after, safe, width, end, sizes
):
    encode = base64.urlsafe_b64encode if safe else base64.b64encode
    text = encode(before + secret.encode() + after).decode()
    lines = [text[at : at + width] for at in range(0, len(text), width)] if width else [text]
    out = masked(Mask([secret]), end.join(lines).encode(), sizes).decode()
    first = -(-8 * len(before) // 6)
    core = text[first : 8 * (len(before) + len(secret.encode())) // 6]
    parts = [part.replace(end, "") for part in out.split(MASK)]
    assert len(parts) > 1
    assert all(core not in part for part in parts)
    assert sum(map(len, parts)) <= len(text) - len(core)


@given(
    lines=st.lists(
        st.text(alphabet=st.sampled_from('abcXYZ012/+= "é'), min_size=1, max_size=70),
        min_size=1,
        max_size=5,
    ),
    line=st.text(alphabet=st.sampled_from('abcXYZ012/+= "é'), min_size=MIN_LINE, max_size=70)
    .map(str.strip)
    .filter(lambda line: len(line.encode()) >= MIN_LINE),
    which=st.integers(0, 5),
    name=st.sampled_from(sorted(ENCODERS)),
    end=st.sampled_from(["\n", "\r\n"]),
    sizes=SIZES,
)
@settings(deadline=None)
def test_each_line_of_a_secret_is_a_secret(lines, line, which, name, end, sizes):
    place = which % (len(lines) + 1)
    secret = end.join([*lines[:place], line, *lines[place:]])
    form, padding = encoded(name, line)
    out = masked(Mask([secret]), f"<{form}{padding}>".encode(), sizes).decode()
    assert MASK in out
    assert form not in out


@given(secret=SECRETS, ways=st.lists(st.integers(0, 10**6), min_size=1, max_size=50), sizes=SIZES)
@settings(deadline=None)
def test_no_mixture_of_writings_gets_through(secret, ways, sizes):
    assume(secret[-1] not in "%\\")
    units = [writings(character) for character in secret]
    chosen = [unit[ways[number % len(ways)] % len(unit)] for number, unit in enumerate(units)]
    data = b"".join(chosen)
    assert masked(Mask([secret]), b"\0" + data + b"\0", sizes) == b"\0***\0"


@given(secret=SECRETS, text=TEXTS, sizes=SIZES)
@settings(deadline=None)
def test_a_text_without_secrets_passes_as_it_is(secret, text, sizes):
    mask = Mask([secret])
    assume(not mask.find(text.encode(), final=True)[0])
    assert masked(mask, text.encode(), sizes) == text.encode()
