# For ./dev docs: the main page lies in build/docs/html, so links of the README to files of the
# project begin with ../../../. They are HTML, because doxygen looks for Markdown pages in its input.
s|(^\|[^!])\[([^]]+)\]\(([A-Za-z/-]+(\.md)?(#[a-z-]+)?)\)|\1<a href="../../../\3">\2</a>|g
