"""The article as a PDF, from article/article.typ and what is in results/published.

python article/build.py --output results/article/article.pdf
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import typst

from logdepth.files import atomic_path

ROOT = Path(__file__).parents[1]


def compiled(source: Path, root: Path = ROOT) -> bytes:
    """Return the PDF of a Typst file, the same bytes for the same text and results.

    Raises:
        SystemExit: a result is missing, or the text has a mistake; one line says which.
    """
    try:
        return bytes(typst.compile(source, root=root, **options(root)))
    except typst.TypstError as error:
        message = error.message.removeprefix("panicked with: ").replace("\n", " ")
        sys.exit(f"{source.name}: error: {message}")


def options(root: Path) -> dict[str, Any]:
    """Return what Typst is told besides the text: fonts of its own alone, and the files there."""
    there = [path for path in root.glob("results/published/*/**/*") if path.suffix in _SUFFIXES]
    files = sorted(path.relative_to(root).as_posix() for path in there)
    return {"ignore_system_fonts": True, "sys_inputs": {"files": json.dumps(files)}}


_SUFFIXES = (".csv", ".pdf")


def main() -> None:
    """Write the article."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    output: Path = parser.parse_args().output
    pdf = compiled(ROOT / "article/article.typ")
    with atomic_path(output) as temporary:
        temporary.write_bytes(pdf)
    print(output)


if __name__ == "__main__":
    main()
