"""Every link of the documents, and every page of docs/ that a source names, leads somewhere."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MADE = ("build", "out")  # and what begins with a dot
SOURCES = (".c", ".cmake", ".cpp", ".h", ".hpp", ".in", ".json", ".py", ".txt")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGE = re.compile(r'docs/([\w-]+\.md)(?:, "([^"]+)")?')


def files():
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in MADE:
            yield from path.rglob("*") if path.is_dir() else [path]


def headings(page):
    """The page's headings, without its code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ (.*)", text, re.MULTILINE)


def anchor(heading):
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken_links(page):
    for target in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        name, _, at = target.partition("#")
        path = page.parent / name if name else page
        if not path.exists():
            yield target, "there is no such file"
        elif at and at not in map(anchor, headings(path)):
            yield target, "the page has no such heading"


def broken_mentions(source):
    # A sentence goes on in the next line of a comment.
    text = re.sub(r"\s*\n\s*(?://+|#|\*)?\s*", " ", source.read_text())
    for name, heading in PAGE.findall(text):
        page = ROOT / "docs" / name
        if not page.exists():
            yield name, "docs/ has no such page"
        elif heading and heading not in headings(page):
            yield f'{name}, "{heading}"', "the page has no such heading"


def main():
    failures = []
    for path in sorted(files()):
        broken = broken_links if path.suffix == ".md" else broken_mentions if path.suffix in SOURCES else None
        failures += [f"{path.relative_to(ROOT)}: {target}: {why}" for target, why in (broken(path) if broken else ())]
    print("\n".join(failures) or "all links lead somewhere")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
