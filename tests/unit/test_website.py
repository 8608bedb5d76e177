"""The pages: whole, the same bytes each time, and one clear line where they cannot be made."""

import csv
import hashlib
import re
import sys
from html.parser import HTMLParser

import pytest

from audit_trail.study import look_through
from command_line import error, logdepth_here
from logdepth.errors import UserError
from logdepth.website.documents import Documents
from logdepth.website.gallery import Study, read_claims
from logdepth.website.playground import models


class Page(HTMLParser):
    """Addresses that a page names, and what in it can be led to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.ids = [], [], {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids.add(found.get("id"))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif address := found.get("src") or found.get("href"):
            self.loaded.append(address)


def build(root, output):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return logdepth_here("site", "--output", output)


@pytest.fixture(scope="module")
def site(root, tmp_path_factory):
    output = tmp_path_factory.mktemp("built") / "site"
    done = build(root, output)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


def test_links_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            name, _, anchor = link.partition("#")
            if link.startswith(("https://", "data:,")):
                assert link.startswith("data:") or link not in page.loaded, f"{path}: {link}"
                continue
            target = (path.parent / name).resolve() if name else path
            assert target.is_relative_to(site), f"{path}: {link}"
            assert target.is_file(), f"{path}: {link}"
            assert not anchor or anchor in pages[target].ids, f"{path}: {link}"
    assert not [word for word in ("url(", "@import") if word in (site / "site.css").read_text()]


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_results_give_the_same_bytes(root, site):
    before = hashes(site)
    done = build(root, site)
    assert done.returncode == 0, done.stderr
    assert hashes(site) == before


def test_every_published_figure_is_there(root, site, pages):
    published = root / "results/published"
    pictures = sorted(published.rglob("*.png"))
    assert len(pictures) >= 60
    gallery = pages[site / "gallery.html"].links
    for picture in pictures:
        place = f"figure/{picture.relative_to(published).parts[0]}/{picture.stem}"
        assert f"{place}.html" in gallery
        for suffix in (".png", ".csv", ".pdf"):
            copy = (site / place).with_suffix(suffix)
            assert copy.read_bytes() == picture.with_suffix(suffix).read_bytes()
        text = (site / f"{place}.html").read_text()
        command = "make bench" if "bench" in place else "logdepth audit reproduce results/published"
        assert command in text
        assert ("the study results/published" in text) == ("bench" not in place)


def test_every_figure_is_drawn_in_lines_and_as_large_as_its_picture(root, site):
    published = root / "results/published"
    for picture in published.rglob("*.png"):
        place = site / "figure" / picture.relative_to(published).parts[0] / picture.stem
        drawing = place.with_suffix(".svg").read_text()
        (width,) = re.findall(r'^<svg [^>]*width="([0-9]+)"', drawing)
        pixels = int.from_bytes(picture.read_bytes()[16:20], "big")
        assert int(width) == pytest.approx(pixels, abs=1), picture
        # Colour bars and maps of matplotlib are pictures in the PDF as well.
        has_pictures = b"/Subtype /Image" in picture.with_suffix(".pdf").read_bytes()
        assert ("<image" in drawing) == has_pictures, picture
        assert "http" not in drawing.replace('="http://www.w3.org/', ""), picture


def test_the_first_page_has_the_numbers_of_the_tables(root, site):
    text = (site / "index.html").read_text()
    tables = root / "results/published/law_small/tables"
    with (tables / "thresholds.csv").open() as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["experiment"], row["threshold"], row["seed"]) == ("law_steps6000", "0.1", "all")
        ]
    assert f"<b>{', '.join(row['largest_solved'] for row in rows)}</b>" in text
    tried = text.partition("</b> instances,")[0].rpartition("<b>")[2]
    claims = (root / "docs/claims.md").read_text()
    assert f" of {tried.replace(chr(0xA0), ' ')} instances" in claims


def test_no_study_is_seen_in_it(site):
    assert {*look_through(site.parent).values()} == {"other"}


def test_bad_input_is_one_line(root, tmp_path, monkeypatch):
    output = tmp_path / "site"
    assert f"{tmp_path}: no figure in it" in error(logdepth_here("site", tmp_path))
    monkeypatch.chdir(tmp_path)
    assert "results/published: no such folder" in error(logdepth_here("site"))
    monkeypatch.chdir(root)
    known = root / "results/published/laptop"
    twice = logdepth_here("site", known, known, "--output", output)
    assert "expected studies of different names" in error(twice)
    output.mkdir()
    (output / "index.html").write_text("mine")
    assert f"{output}: is no site" in error(logdepth_here("site", "--output", output))
    assert (output / "index.html").read_text() == "mine"


@pytest.mark.parametrize("text", [None, "", 'a,b\n"1,2\n', "\xff"])
def test_a_figure_without_its_table(tmp_path, text):
    (tmp_path / "x.png").write_bytes(b"")
    if text is not None:
        (tmp_path / "x.csv").write_text(text, encoding="latin-1")
    (figure,) = Study(tmp_path, "mine").figures
    with pytest.raises(UserError, match=r"x.csv: (no such file|not a CSV file)"):
        _ = figure.table


@pytest.mark.parametrize("pdf", [None, b"", b"%PDF-1.4"])
def test_a_figure_without_its_pdf(tmp_path, pdf):
    (tmp_path / "x.png").write_bytes(b"")
    if pdf is not None:
        (tmp_path / "x.pdf").write_bytes(pdf)
    (figure,) = Study(tmp_path, "mine").figures
    with pytest.raises(UserError, match=r"x.pdf: no PDF that can be shown \(.+\)"):
        _ = figure.drawing


def test_without_what_draws(tmp_path, monkeypatch):
    (tmp_path / "x.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "typst", None)
    (figure,) = Study(tmp_path, "mine").figures
    with pytest.raises(UserError, match="typst is not installed; expected make site"):
        _ = figure.drawing


@pytest.mark.parametrize(
    ("text", "message"),
    [("text", "expected a title"), ("# A\n\n![b](c.png)", "c.png is no figure of the site")],
)
def test_a_document_that_cannot_be_a_page(tmp_path, text, message):
    (tmp_path / "a.md").write_text(text)
    with pytest.raises(UserError, match=message):
        Documents({}).page(tmp_path / "a.md")


def test_a_page_of_claims_without_them(tmp_path):
    with pytest.raises(UserError, match="expected a table of claim, command"):
        read_claims(tmp_path / "claims.md")


def test_the_trained_model_is_the_published_one(root):
    law = Study(root / "results/published/law_small", "law_small")
    by_hand, trained = models([law])
    assert trained["solved"] == 7
    assert (by_hand["alphabet"], by_hand["depth"]) == (trained["alphabet"], 6)
    assert [len(models([])), models([])[0]["context"]] == [1, 99]
