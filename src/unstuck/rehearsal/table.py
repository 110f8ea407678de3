"""Markdown tables as data."""


def rows(text: str, *columns: str) -> list[list[str]]:
    """The cells of a table that has exactly these columns."""
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.strip().splitlines()]
    wrong = next((line for line in lines if len(line) != len(columns)), None)
    if wrong is not None or lines[0] != list(columns):
        raise ValueError(f"a table of {', '.join(columns)} is needed, not {wrong or lines[0]}")
    return lines[2:]
