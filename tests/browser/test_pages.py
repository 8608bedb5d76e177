"""The site in a real browser: it shows what it should, and nothing leaves its folder."""

import csv
import os
import random
import shutil
from pathlib import Path

import pytest
import torch
from playwright.sync_api import sync_playwright

from command_line import logdepth_here
from logdepth.evaluation.attention import attention_weights
from logdepth.models.gpt2 import Gpt2
from logdepth.models.softmax import Softmax
from logdepth.tasks.hop import Hop
from logdepth.theory.hop_to_weights import compile_gpt2, compile_softmax, followed
from logdepth.training.store import load_model
from logdepth.website.playground import exported

SEED = 20
PHONE, DESKTOP = (375, "light"), (1280, "dark")
FOCUSABLE = """[...document.querySelectorAll("a[href], button, input, summary, [tabindex]")]
    .filter((element) => element.checkVisibility())"""


@pytest.fixture(scope="module")
def site(root, tmp_path_factory):
    output = tmp_path_factory.mktemp("published") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        done = logdepth_here("site", "--output", output)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        options = {"executable_path": os.environ["CHROMIUM"], "args": ["--no-sandbox"]}
        browser = driver.chromium.launch(**options)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, site):
    """Opens pages of the site, each watched: what the console says, and what is asked for."""
    contexts, faults, folders = [], [], []

    def new_page(width, scheme):
        size = {"width": width, "height": 800}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: faults.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
        page.on("request", lambda request: asked(request.url))
        return page

    def asked(url):
        if not url.startswith(("data:", *folders)):
            faults.append(f"leaves the folder: {url}")

    def open_page(name, look=DESKTOP, page=None, folder=site):
        page = page or new_page(*look)
        folders.append(f"{folder.as_uri()}/")
        page.goto(f"{folder.as_uri()}/{name}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.mark.parametrize("look", [PHONE, DESKTOP])
def test_every_page_is_whole(visit, site, look):
    page = None
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site)
        page = visit(name, look, page)
        # Pictures further down are loaded when they come into sight.
        page.evaluate("for (const image of document.images) image.loading = 'eager'")
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        assert page.evaluate("[...document.images].every((image) => image.naturalWidth)"), name
        assert page.evaluate("document.documentElement.scrollWidth") <= look[0], name
        assert page.evaluate("document.querySelectorAll('h1').length") == 1, name
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (look[1] == "light"), name


@pytest.mark.parametrize("look", [PHONE, DESKTOP])
@pytest.mark.parametrize(
    "name",
    ["index.html", "gallery.html", "playground.html", "law.html", "figure/laptop/depth_law.html"],
)
def test_the_tab_key_reaches_everything(visit, name, look):
    page = visit(name, look)
    wanted = page.evaluate(f"{FOCUSABLE}.length")
    reached = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(f"{FOCUSABLE}.indexOf(document.activeElement)"))
    assert reached == list(range(wanted))


def test_a_table_is_sorted_by_keyboard(visit, root):
    table = root / "results/published/laptop/figures/depth_law.csv"
    columns, *rows = csv.reader(table.read_text().splitlines())
    at = columns.index("log2_k")
    page = visit("figure/laptop/depth_law.html")
    page.get_by_role("button", name="Show all").press("Enter")
    page.get_by_role("button", name="log2_k").press("Enter")
    shown = page.locator(f".data tbody td:nth-child({at + 1})").all_inner_texts()
    numbers = [float(text) for text in shown if text]
    assert numbers == sorted(float(row[at]) for row in rows if row[at])
    assert len(shown) == len(rows)
    page.get_by_role("button", name="log2_k").press("Enter")
    shown = page.locator(f".data tbody td:nth-child({at + 1})").all_inner_texts()
    assert [float(text) for text in shown if text] == numbers[::-1]
    assert page.locator("[aria-sort]").get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize(
    ("figure", "scales"), [("laptop/depth_law", (2, 4, 1)), ("tasks/error_by_k", (2, 4, 8, 1))]
)
def test_a_picture_is_enlarged_by_keyboard(visit, figure, scales):
    page = visit(f"figure/{figure}.html", PHONE)
    link, picture = page.locator("a.zoom"), page.locator("a.zoom img")
    assert picture.get_attribute("src").endswith(".svg")
    width = picture.bounding_box()["width"]
    for scale in scales:
        link.press("Enter")
        assert picture.bounding_box()["width"] == pytest.approx(scale * width, rel=0.01)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    link.press("Enter")
    assert link.evaluate("(link) => link.scrollWidth") > width
    # It moves by the arrow keys.
    before = link.evaluate("(link) => link.scrollLeft")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(x) => document.querySelector('a.zoom').scrollLeft > x", arg=before)


def drawn(rng, alphabet, length, neighbours=False):
    symbols = [rng.randrange(alphabet)]
    while len(symbols) < length:
        symbols.append((symbols[-1] + rng.randrange(0 if neighbours else 1, alphabet)) % alphabet)
    return symbols


def test_the_playground_answers_as_the_oracle_does(visit):
    print(f"seed {SEED}")
    rng, page = random.Random(SEED), visit("playground.html")
    sizes = page.evaluate(
        "models.map(({context, alphabet, max_k}) => ({context, alphabet, max_k}))"
    )
    assert len(sizes) == 2
    task, depth = Hop(**sizes[0]), page.evaluate("models[0].depth")
    for _ in range(40):
        string = drawn(rng, task.alphabet, rng.randrange(1, task.context))
        # From far on, so that many hops lead somewhere.
        k, place = rng.randint(0, task.max_k), max(rng.randrange(len(string)) for _ in range(3))
        page.fill("#string", "".join(chr(97 + symbol) for symbol in string))
        page.fill("#k", str(k))
        page.fill("#place", str(place + 1))
        tokens = torch.tensor([[k, *(task.first_symbol + symbol for symbol in string)]])
        places = [task.pointers(tokens, j)[0, place + 1].item() for j in range(task.max_k + 1)]
        right = task.oracle([k, *string], k)[place + 1]
        name = "no answer" if right is None else chr(97 + right)
        case = f"{string}, k = {k}, place {place}"
        said = page.locator("#said li").all_inner_texts()
        hops = [j for j in places[1 : k + 1] if j > 0]
        assert len(said) == len(hops) + (right is None), case
        for line, reached in zip(said, hops, strict=False):
            assert f"hop to {reached}, {chr(97 + string[reached - 1])}" in line, case
        by_hand, trained = page.locator("#models h2").all_inner_texts()
        assert by_hand.startswith(f"The model written by hand: {name}, "), case
        assert by_hand.endswith("right"), case
        assert ("wrong" in trained) == (not trained.startswith(f"A trained model: {name}, ")), case
        # Head 1 of each block from the second on, as the construction says.
        seen = page.locator("#models .row").all_inner_texts()[2 : 2 * depth : 2]
        for text, j in zip(seen, followed(k, depth), strict=True):
            expected = f"find{j}" if places[j] > 0 and j else "itself" if j == 0 else "k"
            assert text.split()[1:] == [expected], case


def test_hop_by_hop_ends_with_all_hops(visit):
    page = visit("playground.html")
    all_hops = page.locator("#said li").all_inner_texts()
    page.get_by_role("button", name="Hop by hop").click()
    assert page.locator("#said li").count() == 0
    page.wait_for_function(f"document.querySelectorAll('#said li').length == {len(all_hops)}")
    assert page.locator("#said li").all_inner_texts() == all_hops
    before = page.input_value("#string")
    page.get_by_role("button", name="Random string").click()
    assert page.input_value("#string") != before


def test_what_is_no_string_is_said(visit):
    page = visit("playground.html")
    for text, problem in (("abz", "'z' is no letter of this task; expected a to f"), ("", "Exp")):
        page.fill("#string", text)
        assert page.inner_text("#problem").startswith(problem)
    page.fill("#string", "ab")
    assert page.inner_text("#problem") == ""


def assert_equal_to_torch(page, model, task, network, rng):
    """Compare logits and attention on random strings, the longest among them."""
    lengths = (1, 2, rng.randrange(3, task.context), task.context - 1)
    for length in lengths:
        tokens = [rng.randint(0, task.max_k)]
        tokens += [s + task.first_symbol for s in drawn(rng, task.alphabet, length, True)]
        got = page.evaluate(
            f"""(tokens) => {{
                const {{logits, attention}} = forward({model}, tokens);
                return [logits.map((row) => [...row]), attention];
            }}""",
            tokens,
        )
        with torch.no_grad():
            logits = network(torch.tensor([tokens]))[0]
            attention = attention_weights(network, torch.tensor([tokens]))[:, 0]
        torch.testing.assert_close(torch.tensor(got[0]), logits, atol=1e-4, rtol=0)
        for layer, heads in enumerate(got[1]):
            for head, rows in enumerate(heads):
                whole = torch.zeros(len(tokens), len(tokens))
                for query, row in enumerate(rows):
                    whole[query, : len(row)] = torch.tensor(row)
                torch.testing.assert_close(whole, attention[layer, head], atol=1e-4, rtol=0)


def test_the_models_of_the_page_are_equal_to_torch(visit, root):
    print(f"seed {SEED}")
    rng, page = random.Random(SEED), visit("playground.html")
    trained, run = load_model(root / page.evaluate("models[1].file"), torch.device("cpu"))
    by_hand = compile_softmax(run.task).network()
    assert_equal_to_torch(page, "models[0]", run.task, by_hand, rng)
    assert_equal_to_torch(page, "models[1]", run.task, trained, rng)


@pytest.mark.parametrize("kind", ["softmax", "attention alone", "gpt2", "gpt2 by hand"])
def test_every_form_is_equal_to_torch(visit, kind):
    print(f"seed {SEED}")
    rng, page = random.Random(SEED), visit("playground.html")
    task = Hop(context=20, alphabet=3, max_k=4)
    if kind == "gpt2 by hand":
        compiled = compile_gpt2(task)
        model, network = compiled.model, compiled.network()
    else:
        model = Softmax(depth=2, heads=2, width=16, mlp_ratio=0 if "alone" in kind else 4)
        if kind == "gpt2":
            model = Gpt2(depth=2, heads=3, width=48)
        network = model.build(task, torch.Generator().manual_seed(SEED)).eval()
    page.evaluate("(model) => { window.other = decoded(model); }", exported(task, model, network))
    assert_equal_to_torch(page, "other", task, network, rng)


def test_without_trained_weights_and_with_an_own_study(visit, root, tmp_path, monkeypatch):
    ignored = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(
        root / "results/published",
        tmp_path / "results/published",
        ignore=ignored,
        copy_function=os.link,
    )
    shutil.copytree(root / "results/published/laptop", tmp_path / "results/laptop")
    for name in ("docs", "config"):
        (tmp_path / name).symlink_to(root / name)
    monkeypatch.chdir(tmp_path)
    done = logdepth_here("site", Path("results/laptop"))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results/site"
    page = visit("playground.html", folder=folder)
    assert page.evaluate("models.length") == 1
    assert "There is no trained model here" in page.inner_text("main")
    visit("gallery.html#own-laptop", page=page, folder=folder)
    assert page.locator("#own-laptop img").count() == 5
