"""Long codes break where a reader would break them, and never let markup through."""

import pytest

from unstuck.web.pages.wrapping import breakable


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("ADDRESS_NOT_SERVICEABLE", "ADDRESS_<wbr>NOT_<wbr>SERVICEABLE"),
        ("corr-NW-5100", "corr-<wbr>NW-<wbr>5100"),
        ("net.port.taken", "net.<wbr>port.<wbr>taken"),
        ("TIMEOUT", "TIMEOUT"),
        ("", ""),
        ("____", "____"),
        ("a_<script>_b", "a_<wbr>&lt;script&gt;_<wbr>b"),
        ("a_<wbr>&amp;", "a_<wbr>&lt;wbr&gt;&amp;amp;"),
    ],
)
def test_a_code_may_break_behind_what_joins_its_words(code: str, shown: str) -> None:
    assert str(breakable(code)) == shown
