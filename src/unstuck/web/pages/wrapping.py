"""Where a long code may go on in the next line: behind what joins its words, never in the middle of one."""

import re

from markupsafe import Markup

JOINED = re.compile(r"(?<=[_.-])(?=[^_.-])")


def breakable(text: str) -> Markup:
    """The text, escaped, with a place to break behind each `_`, `.` or `-` that joins two words."""
    return Markup("<wbr>").join(JOINED.split(text))
