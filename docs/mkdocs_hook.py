"""The site's pages from outside docs/: the README, the notebooks, and files that pages link to.

docs/ is the site's root; a link that works between files of the repository is made to work there.
"""

import os
import pathlib
import re

import jupytext
from mkdocs.structure.files import File

DOCS = pathlib.Path(__file__).parent
REPOSITORY = DOCS.parent
TARGET = re.compile(r"(?<=\]\()(?![a-z]+:|#)[^)#\s]+")  # of a link to a file


def on_files(files, config):
    """Add the README, each notebook as a page, and what the pages link to."""
    for notebook in sorted(DOCS.glob("notebooks/*.py")):
        text = jupytext.writes(jupytext.read(notebook), "md")
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=text))
    pages = [REPOSITORY / "README.md", *DOCS.rglob("*.md")]
    outside = pages[:1]
    for page in pages:  # grows
        for path in (_file(page, found) for found in TARGET.findall(page.read_text())):
            if path.is_file() and DOCS not in path.parents and path not in outside:
                outside.append(path)
                pages += [path] if path.suffix == ".md" else []
    for path in outside:
        files.append(File.generated(config, _uri(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, **_):
    """Lead each link to where the site has its file."""
    if not page.file.abs_src_path:  # a notebook
        return markdown
    source = pathlib.Path(page.file.abs_src_path)

    def moved(found):
        target = _uri(_file(source, found[0]))
        return os.path.relpath(target, pathlib.PurePosixPath(page.file.src_uri).parent)

    return TARGET.sub(moved, markdown)


def _file(page, target):
    """Return the file that a page's link names; of a folder its README."""
    path = pathlib.Path(os.path.normpath(page.parent / target))
    return path / "README.md" if path.is_dir() else path


def _uri(path):
    """Return a file's path below the site's root."""
    return path.relative_to(DOCS if DOCS in path.parents else REPOSITORY).as_posix()
