"""The report page: sound HTML that fetches nothing, whatever names hold; every section there or explained."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import CrystalTable, encode_arrays
from aristotype.errors import InputError, OutputError, TableError
from aristotype.evaluate import save_figures, write_page
from aristotype.evaluate._html import text
from aristotype.evaluate._sets import MAX_SETS, printable_text
from tests.evaluate.page_sets import crystals, evaluated

VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = [
    "\"><script>alert('1')</script></style></svg><b onload=x>&amp;</b>",
    "_begins with an underscore, $x_1$ \\frac{1}{2} $",
    "nul\x00 line\nbreak \u202eright to left \ud800 lone surrogate \ufffe",
    "emoji 🧊 晶体 " + "x" * 300,
]


class Page(HTMLParser):
    """The tree of a page as far as the laws need it."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.skeleton: list[str] = []  # tags with the names of their attributes, in order
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []  # tag, name, value
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.skeleton.append(f"{tag} {' '.join(name for name, _ in attrs)}")
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.words)


def written(folder: Path, *arguments, **options) -> str:
    path = folder / "page.html"
    write_page(path, *arguments, force=True, **options)
    return path.read_text(encoding="utf-8")


def emptied(one: tuple[dict, pa.Table]) -> tuple[dict, pa.Table]:
    """The same summary without structures: a page without figures, made in no time."""
    return one[0], one[1].slice(0, 0)


@pytest.fixture(scope="module")
def sets():
    return [
        evaluated(crystals(60, 1), name="first", seed=1),
        evaluated(crystals(40, 2), name="second", seed=2, energies=False),
    ]


@pytest.fixture(scope="module")
def reference() -> pa.Table:
    table = crystals(80, 3)
    return table.with_columns(e_above_hull=np.random.default_rng(0).gamma(0.3, 0.05, len(table))).arrow


@pytest.fixture(scope="module")
def whole(sets, reference, tmp_path_factory) -> str:
    return written(tmp_path_factory.mktemp("whole"), sets, reference, gallery=3)


def test_the_page_is_sound_and_refers_to_itself_only(whole):
    page = Page(whole)
    assert len(page.ids) == len(set(page.ids))
    targets = [value for _, name, value in page.attributes if name in ("href", "xlink:href", "src")]
    assert targets and all(target.startswith("#") and target[1:] in page.ids for target in targets)
    assert all(name in page.ids for name in re.findall(r"url\(#([^)]+)\)", whole))
    for _, name, value in page.attributes:
        if name == "aria-labelledby":
            assert all(part in page.ids for part in value.split())
    assert not re.search(r"https?://|@import|//[a-z]+\.|file:", whole)
    tags = {line.split()[0] for line in page.skeleton}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "embed", "img", "image", "base", "form"})
    assert not any(name.startswith("on") for _, name, _ in page.attributes)


def test_every_figure_has_a_name_and_a_description(whole):
    drawn = re.findall(r"<svg [^>]*role=\"img\"[^>]*><title[^>]*>([^<]+)</title><desc[^>]*>([^<]+)</desc>", whole)
    assert len(drawn) == whole.count("<svg ") > 10


def test_colours_of_the_style_are_variables_that_the_page_sets_twice(whole):
    used = set(re.findall(r"var\((--[a-z0-9]+)\)", whole))
    assert {"--ink", "--s0", "--grid"} <= used
    light, dark = whole.split("prefers-color-scheme")[:2]
    assert all(f"{name}:" in light and f"{name}:" in dark.partition("}")[0] for name in used)


def headings(page: str) -> dict[str, bool]:
    """Titles of everything that a page may show, and whether it is shown."""
    shown = dict.fromkeys(re.findall(r"<h3>(?:<span[^>]*></span>)?([^<]+)</h3>", page), True)
    return shown | dict.fromkeys(re.findall(r'<p class="missing"><b>([^<]+)</b>: not shown, .+\.', page), False)


def test_what_a_table_lacks_is_said(sets, reference, whole, tmp_path):
    full = written(tmp_path, sets[:1], reference, gallery=2)
    bare = [({}, crystals(60, 1).arrow)]
    without = headings(written(tmp_path, bare, reference, gallery=2))
    needed = {
        "What passes each test",
        "Distribution",
        "How well the hull is known",
        "Energy above hull before and after",
        "What relaxation changes",
        "Density, volume and shortest distance",
        "Metrics",
        "Protocol",
    }
    assert all(headings(full).get(title, True) for title in headings(full))
    assert {title for title, there in without.items() if not there} >= needed
    assert {title.replace("first", "unnamed") for title in headings(full)} - set(without) == {"unnamed"} - set(without)
    # Of two sets, one without energies: the figure is there and names the set that is not in it.
    assert "without values of e_above_hull: second" in whole


@pytest.mark.parametrize("rows", [0, 1])
def test_no_structure_and_one(rows, reference, tmp_path):
    summary, table = evaluated(crystals(5, 4), name="few")
    page = written(tmp_path, [(summary, table.slice(0, rows))], reference)
    assert "few" in Page(page).text
    shown = headings(page)
    assert shown["Crystal systems and families"] == bool(rows)
    assert shown["Drawn at random: few"] == bool(rows)


def test_without_a_reference_and_against_an_empty_one(sets, tmp_path):
    for known in (None, crystals(3, 5).arrow.slice(0, 0)):
        page = written(tmp_path, sets[:1], known, gallery=0)
        Page(page)
        assert "no reference was given" in page and "Jensen-Shannon" not in page


def test_genes_without_geometry_are_not_drawn(tmp_path):
    genes = CrystalTable.from_genes(crystals(5, 6).genes())
    shown = headings(written(tmp_path, [({"name": "genes"}, genes.arrow)]))
    assert shown["Crystal systems and families"] and not shown["Drawn at random: genes"]


def test_numbers_that_are_not_there_are_not_printed(whole, tmp_path):
    nothing = re.compile(r"\b(nan|none|null|inf|infinity|nat|true|false)\b", re.IGNORECASE)
    assert not nothing.search(Page(whole).text)
    summary, table = evaluated(crystals(20, 7))
    empty = CrystalTable(table).with_columns(
        {name: pa.nulls(20, pa.float64()) for name in ("e_above_hull", "energy", "rmsd", "density", "energy_start")}
    )
    summary |= {"counts": {"submitted": 20, "built": None, "valid": float("nan"), "sun": 0}}
    page = written(tmp_path, [(summary, empty.arrow)])
    assert not nothing.search(Page(page).text)
    assert not headings(page)["Distribution"]


def test_same_input_same_bytes(sets, reference, whole, tmp_path):
    import matplotlib as mpl

    # In other chunks, and with other settings of matplotlib.
    chunked = [(summary, pa.concat_tables([table.slice(0, 7), table.slice(7)])) for summary, table in sets]
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.fonttype": "path", "svg.hashsalt": "x"}):
        before = dict(mpl.rcParams)
        assert written(tmp_path, chunked, reference, gallery=3) == whole
        assert dict(mpl.rcParams) == before


@given(st.text() | st.text(alphabet="<>&\"'`=/!-$_{}[]()\\ \n\tab"))
def test_text_comes_back_from_html_and_makes_no_tag(value):
    for markup in (f"<p>{text(value)}</p>", f'<p title="{text(value)}">{text(value)}</p>'):
        page = Page(markup)
        assert [line.split()[0] for line in page.skeleton] == ["p"]
        assert "".join(page.words) == printable_text(value, 2000)
        assert all(found == printable_text(value, 2000) for _, _, found in page.attributes)


def named(value: str) -> tuple[dict, pa.Table]:
    """One crystal, all of whose names are a value."""
    summary, table = evaluated(crystals(1, 8), name=value)
    summary["protocol"] = {"name": value, "version": value, value: {value: [value]}}
    summary["metrics"] = {value: {"value": 1.5, "low": 1.0, "high": 2.0, "n": 3, "unit": value, "what": value}}
    summary["notes"], summary["versions"] = [value], {value: value}
    stored = value.encode("utf-8", "replace").decode()  # arrow refuses lone surrogates; a summary may hold them
    own = CrystalTable(table).with_columns(id=[stored], hull_confidence=[stored])
    return summary, own.with_columns(e_above_hull=[0.1], unphysical=[False]).arrow


def test_hostile_names_stay_text(tmp_path):
    harmless = [f"harmless {place}" for place in range(len(HOSTILE))]
    plain = Page(written(tmp_path, [named(value) for value in harmless], reference_name="harmless", gallery=1))
    page = Page(written(tmp_path, [named(value) for value in HOSTILE], reference_name=HOSTILE[0], gallery=1))
    # The same elements with the same attributes in the same order, whatever the names hold.
    assert page.skeleton == plain.skeleton
    for value in HOSTILE:
        assert page.text.count(printable_text(value)) >= 5


@settings(max_examples=3)
@given(st.text(min_size=1))
def test_any_name_gives_a_sound_page(value):
    with TemporaryDirectory() as folder:
        page = Page(written(Path(folder), [named(value)], gallery=0))
    assert printable_text(value) in page.text


def test_sets_of_one_name_are_numbered(sets, tmp_path):
    page = Page(written(tmp_path, [emptied(sets[0])] * 2))
    assert "first (1)" in page.text and "first (2)" in page.text


def test_protocols_that_differ_are_marked(sets, tmp_path):
    first, second = (emptied(one) for one in sets)
    assert "different protocols" not in written(tmp_path, [first, second])
    other = (second[0] | {"protocol": {"name": "aristotype", "version": "2"}}, second[1])
    page = Page(written(tmp_path, [first, other]))
    assert "different protocols" in page.text and page.text.count("(differs)") == 2  # version and matcher.ltol


def test_what_cannot_be_shown_is_refused_and_leaves_the_old_page(sets, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    wrong = (sets[0][0], CrystalTable(sets[0][1]).with_columns(rmsd=["far"] * 60).arrow)
    cases = [
        ([], {}, InputError, "0 evaluated sets"),
        (sets * MAX_SETS, {}, InputError, "1 to 12"),
        (sets, {"gallery": 101}, InputError, "0 to 100"),
        ([wrong], {}, TableError, "column rmsd of 'first' has the type string"),
        ([({}, pa.table({"id": ["a"]}))], {}, TableError, "lacks the columns"),
    ]
    for evaluations, options, error, message in cases:
        with pytest.raises(error, match=message):
            write_page(path, evaluations, force=True, **options)
    with pytest.raises(OutputError, match="not overwritten"):
        write_page(path, sets)
    assert path.read_text() == "old" and [found.name for found in tmp_path.iterdir()] == ["page.html"]


def test_figures_are_written_as_png(sets, reference, tmp_path):
    paths = save_figures(tmp_path / "one", sets, reference, gallery=2, dpi=40)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    names = {path.stem for path in paths}
    assert {"funnel", "hull", "space-groups", "elements-0", "elements-difference-1", "crystals-sun-0"} <= names
    assert "crystals-sun-1" not in names  # no energies, so nothing is known to be stable
    before = (tmp_path / "one" / "funnel.png").read_bytes()
    again = save_figures(tmp_path / "two", [emptied(one) for one in sets], dpi=40)
    assert [path.read_bytes() for path in again] == [before]  # nothing but the counts of the summaries is left
    with pytest.raises(OutputError, match="not overwritten"):
        save_figures(tmp_path / "one", sets, reference, dpi=40)
    with pytest.raises(InputError, match="dots an inch"):
        save_figures(tmp_path / "three", sets, dpi=10_000)


def test_real_crystals(data_folder, tmp_path):
    source = data_folder / "mp_20_val.parquet"
    if not source.is_file():
        pytest.skip(f"no {source}")
    rows = pq.read_table(source).slice(0, 2000)
    table = encode_arrays(
        np.array(rows["lattice"].to_pylist(), float).reshape(-1, 3, 3),
        [np.array(numbers) for numbers in rows["atomic_numbers"].to_pylist()],
        [np.array(coords).reshape(-1, 3) for coords in rows["frac_coords"].to_pylist()],
        ids=rows["material_id"].to_pylist(),
        failures=[],
    )
    assert len(table) > 1900
    half = len(table) // 2
    page = written(tmp_path, [evaluated(table, name="MP-20 val", seed=10)], table[:half].arrow)
    assert all(headings(page).values())
    Page(page)
    # Histograms and a dozen crystals: the page does not grow with the table.
    assert len(page) < 2_000_000
