"""No line of prose is wider than 100 columns: of pages, and of comments that have lines of their own."""
import re
import sys

from check_links import ROOT, files

WIDTH = 100
COMMENTS = dict.fromkeys((".c", ".cpp", ".h", ".hpp"), "//") | {".cmake": "#", ".py": "#"}
NAMED = {"dev": "#", "CMakeLists.txt": "#"}
# What cannot be broken: a table's row, a picture, a link, a tool's words, one long word; and code
# in a comment.
WHOLE = re.compile(r"\s*\||!\[|.*https?://|.*(?:NOLINT|clang-format|noqa|type: ignore)|\W*\S+$|\s*(?://|#)\s{2,}")


def lines_of_page(text):
    """Without code, whose lines become empty."""
    return re.sub(r"^```.*?^```", lambda code: "\n" * code[0].count("\n"), text, flags=re.M | re.S).split("\n")


def wide_lines(path, mark):
    """mark: of comments; all else is code. None: a page."""
    text = path.read_text()
    for number, line in enumerate(text.split("\n") if mark else lines_of_page(text), 1):
        is_prose = line.lstrip().startswith(mark) if mark else not line.startswith("    ")
        if is_prose and len(line) > WIDTH and not WHOLE.match(line):
            yield f"{path.relative_to(ROOT)}:{number}: {len(line)} columns"


def main():
    found = []
    for path in sorted(files()):
        mark = NAMED.get(path.name) or COMMENTS.get(path.suffix)
        if mark or path.suffix == ".md":
            found += wide_lines(path, mark)
    print("\n".join(found) or f"all prose is at most {WIDTH} columns wide")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
