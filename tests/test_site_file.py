"""Site files: what a good one gives, and every bad one as clear lines, all at once, without a password."""

import os
import textwrap
from pathlib import Path

import pytest

from shelfvision.cli.main import main
from shelfvision.errors import ConfigError
from shelfvision.site_file import is_file_source, load_site

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
GOOD = """\
store: {id: shop, name: The shop}
catalogue:
  - {sku: TEA-01, name: Tea, gtin: "4006381333931"}
  - {sku: COFFEE-07, name: Coffee}
cameras:
  - id: aisle
    source: video.mp4
    size: [640, 360]
    slots:
      - {id: a1, sku: TEA-01, polygon: [[0, 0], [100, 0], [100, 100], [0, 100]]}
      - {id: a2, sku: COFFEE-07, polygon: [[100, 0], [200, 0], [200, 100], [100, 100]]}
"""


@pytest.fixture
def site(tmp_path):
    """Writes a site file, the good one with pieces replaced, and returns its path."""

    def write(*changes, text=GOOD, extra=""):
        for old, new in changes:
            assert old in text, f"the good file holds {old!r}"
            text = text.replace(old, new)
        path = tmp_path / "site.yaml"
        path.write_text(text + textwrap.dedent(extra))
        return path

    return write


def faults(path):
    with pytest.raises(ConfigError) as caught:
        load_site(path)
    return str(caught.value).replace(f"{path.parent}/", "").splitlines()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_that_we_ship_is_valid(path):
    assert load_site(path).cameras


def test_a_good_file_gives_sections_with_defaults_and_absolute_paths(site):
    path = site(extra="broker: {ca_file: tls/ca.pem}\n")
    loaded = load_site(path)
    assert loaded.store.id == "shop"
    assert loaded.cameras[0].source == str(path.parent / "video.mp4")
    assert loaded.broker.ca_file == path.parent / "tls/ca.pem"
    assert (loaded.broker.host, loaded.broker.port, loaded.broker.tls) == ("127.0.0.1", 1883, False)
    plan = loaded.cameras[0].plan()
    assert [slot.capacity for slot in plan.slots] == [1, 1]


def test_variables_are_filled_in(site, monkeypatch):
    monkeypatch.setenv("CAMERA", "rtsp://host/1")
    path = site(("video.mp4", "${CAMERA}"), ("name: The shop", "name: '${NAME:-no name}'"))
    assert (load_site(path).cameras[0].source, load_site(path).store.name) == ("rtsp://host/1", "no name")


@pytest.mark.parametrize(
    ("source", "is_file"),
    [
        ("a.mp4", True),
        ("/a/b.mp4", True),
        ("rtsp://h/1", False),
        ("RTSP://h", False),
        ("usb:0", False),
        ("/dev/video0", False),
        ("sim:aisle?seed=1", False),
    ],
)
def test_file_sources_are_told_from_streams_and_devices(source, is_file):
    assert is_file_source(source) is is_file


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("id: shop", "id: a b", "site.yaml: store.id: expected an id of letters, digits, '_', '.' and '-'"),
        ("id: shop", "id: 12", "site.yaml: store.id: expected text (put it in quotes), found 12"),
        ("id: shop", "id: no", "site.yaml: store.id: true and false mean nothing here"),
        ("id: shop", "id:", "site.yaml: store.id: expected text, found nothing"),
        ("id: shop, ", "", "site.yaml: store.id: missing; add it"),
        ("{id: shop, name: The shop}", "shop", "site.yaml: store: expected a mapping, found 'shop'"),
        ("name: The shop", "timezone: Mars/One", "store.timezone: 'Mars/One' is no IANA time zone"),
        (
            "name: The shop",
            "nmae: x",
            "store.nmae: unknown key; remove it or check its spelling (did you mean 'name'?)",
        ),
        ("store:", "stroe: {}\nstore:", "stroe: unknown key; remove it or check its spelling (did you mean 'store'?)"),
        ("4006381333931", "4006381333932", "catalogue[0].gtin: GTIN '4006381333932' has check digit 2, expected 1"),
        ("4006381333931", "40063813339", "catalogue[0].gtin: GTIN '40063813339' must be 8, 12, 13 or 14 digits"),
        ("name: Tea", "name: Tea, price: -1", "catalogue[0].price: expected greater than or equal to 0, found -1"),
        ("name: Tea", "name: Tea, price: .inf", "catalogue[0].price: expected a finite number, found inf"),
        ("name: Tea", "name: Tea, price: yes", "catalogue[0].price: true and false mean nothing here"),
        ("sku: COFFEE-07", "sku: TEA-01", "catalogue[1].sku: 'TEA-01' is also at catalogue[0]; keep one"),
        ("[640, 360]", "[640]", "cameras[0].size[1]: missing"),
        ("[640, 360]", "640x360", "cameras[0].size: expected a list, found '640x360'"),
        ("[640, 360]", "[640, 360.5]", "cameras[0].size[1]: expected a whole number, found 360.5"),
        ("[640, 360]", "[640, 1]", "cameras[0].size: width and height must be from 16 to 16384 pixels"),
        ("[640, 360]", "[640, 360]\n    fps: 0", "cameras[0].fps: expected greater than 0, found 0"),
        ("[640, 360]", "[640, 360]\n    fps: .nan", "cameras[0].fps: expected a finite number, found nan"),
        ("[640, 360]", "[640, 360]\n    fps: fast", "cameras[0].fps: expected a number, found 'fast'"),
        ("[640, 360]", "[640, 360]\n    fps: on", "cameras[0].fps: true and false mean nothing here"),
        ("sku: TEA-01, p", "sku: TEA-1, p", "slots[0].sku: 'TEA-1' is not in the catalogue (did you mean 'TEA-01'?)"),
        ("sku: TEA-01, p", "sku: XYZ, p", "cameras[0].slots[0].sku: 'XYZ' is not in the catalogue"),
        ("id: a2", "id: a1", "cameras[0].slots[1].id: slot 'a1' is also at cameras[0].slots[0]; ids are unique"),
        ("[100, 0], [100, 100], [0, 100]]", "[100, 0]]", "slots[0].polygon: expected it to have at least 3 items"),
        (
            "[0, 0], [100, 0], [100, 100]",
            "[0, 0], [700, 0], [100, 100]",
            "polygon corner (700, 0) lies outside the fra",
        ),
        ("[0, 0], [100, 0], [100, 100]", "[0, 0], [.nan, 0], [100, 100]", "slots[0].polygon: polygon corner (nan, 0)"),
        ("[100, 0], [100, 100], [0", "[100, 100], [100, 0], [0", "polygon crosses itself: edge 1 meets edge 3"),
        ("[0, 0], [100, 0]", "[0, x], [100, 0]", "cameras[0].slots[0].polygon[0][1]: expected a number, found 'x'"),
        (
            "[0, 0], [100, 0]",
            "[0, 0, 0], [100, 0]",
            "cameras[0].slots[0].polygon[0]: expected it to have at most 2 items",
        ),
        ("sku: TEA-01, p", "sku: TEA-01, facings: 3, capacity: 2, p", "capacity 2 is less than the 3 facings"),
        ("sku: TEA-01, p", "sku: TEA-01, facings: 1.5, p", "slots[0].facings: expected a whole number, found 1.5"),
        ("source: video.mp4", "sauce: video.mp4", "cameras[0].source: missing; add it"),
    ],
)
def test_one_fault_is_one_line_with_key_found_and_expected(site, old, new, fault):
    lines = faults(site((old, new)))
    assert any(fault in line for line in lines), lines
    assert len(lines) == (2 if old == "source: video.mp4" else 1)


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ("broker: {url: tcp://h}", "broker.url: expected mqtt://host:port or mqtts://host:port, found 'tcp://h'"),
        ("broker: {url: mqtt://h:99999}", "broker.url: the port must be a number from 1 to 65535"),
        ("broker: {password: a, password_file: b}", "broker: give password or password_file, not both"),
        ("device: {delivery: never}", "device.delivery: expected 'watermark' or 'broker', found 'never'"),
        ("device: {outbox_max_mb: 0}", "device.outbox_max_mb: expected greater than or equal to 1, found 0"),
        ("device: {id: tasks}", "device.id: 'tasks' is a topic of the store itself; choose another id"),
        ("device: [1, 2]", "device: expected a mapping, found a list of 2"),
        ("replenishment: {half_life_days: -7}", "replenishment.half_life_days: expected greater than 0, found -7"),
        ("web: {cert_file: a.pem}", "web: cert_file and key_file belong together"),
        ("version: 2", "version: expected 1, found 2"),
        ("version: 1\nversion: 1", "site.yaml line 13, column 1: not valid YAML: key 'version' stands there twice"),
    ],
)
def test_other_sections_likewise(site, extra, fault):
    (line,) = faults(site(extra=extra))
    assert fault in line


def test_all_faults_are_told_at_once(site):
    """Faults of shape, of geometry and between sections, none hiding another."""
    lines = faults(
        site(
            ("id: shop", "id: a b"),
            ("4006381333931", "4006381333932"),
            ("source: video.mp4", "source: ''"),
            ("[[0, 0], [100, 0], [100, 100]", "[[0, 0], [700, 0], [100, 100]"),
            ("id: a2, sku: COFFEE-07", "id: a1, sku: COFEE-07"),
            extra="broker: {url: x}\ndevcie: {}\n",
        )
    )
    for key in ("store.id", "catalogue[0].gtin", "cameras[0].source", "slots[0].polygon", "slots[1].id", "broker.url"):
        assert any(f"{key}:" in line for line in lines), key
    assert any("COFFEE-07" in line for line in lines)
    assert any("did you mean 'device'?" in line for line in lines)
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "expected a mapping with store, catalogue and cameras, found nothing"),
        ("- 1", "found a list of 1"),
        ("just text", "found 'just text'"),
        ("{", "site.yaml line 1, column 2: not valid YAML"),
        ("a: b: c", "site.yaml line 1, column 5: not valid YAML: mapping values are not allowed here"),
        ("a: *b", "not valid YAML: found undefined alias 'b'"),
        ("a: !!python/object:os.system {}", "not valid YAML: could not determine a constructor"),
        ("--- 1\n--- 2", "not valid YAML"),
        ("a: 2026-13-45", "not valid YAML: month must be in 1..12"),
        ("a: " + "9" * 5000, "not valid YAML"),
        ("a: " + "[" * 3000, "not valid YAML"),
        ("a: " + "[" * 100 + "]" * 100, "not valid YAML: nested deeper than 50"),
        ("a: &x [*x]", "not valid YAML: nested deeper than 50, or a value that holds itself"),
        ("a: \x01", "not valid YAML: special characters are not allowed"),
    ],
)
def test_what_is_no_yaml_mapping_is_one_line(site, text, fault):
    (line,) = faults(site(text=text))
    assert fault in line


def test_a_key_that_is_no_text_is_told(site):
    assert "site.yaml: [1]: expected the key to be text, found 1" in faults(site(extra="1: 2"))


def test_aliases_do_not_explode(site):
    """Nine levels of nine references: 387 million values out of 400 bytes."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    (line,) = faults(site(text="\n".join(levels)))
    assert "aliases expand to more than 500000 values" in line


def test_files_that_cannot_be_read_are_named(tmp_path):
    assert faults(tmp_path / "no.yaml") == ["no.yaml: no such file; check the path"]
    assert faults(tmp_path) == [f"{tmp_path.name}: cannot be read: Is a directory"]
    (tmp_path / "latin.yaml").write_bytes("store: café".encode("latin-1"))
    assert faults(tmp_path / "latin.yaml") == ["latin.yaml: not UTF-8 text (byte 10); save it as UTF-8"]
    (tmp_path / "large.yaml").write_bytes(b"#" * 10_000_001)
    assert faults(tmp_path / "large.yaml") == ["large.yaml: larger than 10 MB; this is no site file or catalogue"]
    assert faults(Path("/dev/zero")) == ["zero: larger than 10 MB; this is no site file or catalogue"]
    if os.geteuid():
        (tmp_path / "secret.yaml").touch(mode=0)
        assert faults(tmp_path / "secret.yaml") == ["secret.yaml: cannot be read: Permission denied"]


def test_a_missing_variable_is_named_once(site, monkeypatch):
    monkeypatch.delenv("NO_SUCH", raising=False)
    (line,) = faults(site(extra="broker: {url: '${NO_SUCH}'}"))
    assert line == "site.yaml: broker.url: environment variable NO_SUCH is not set; set it or write ${NO_SUCH:-default}"


@pytest.mark.parametrize(
    ("changes", "extra"),
    [
        ([("id: shop", "id: rtsp://joe:sesame@host/1")], ""),
        ([("id: shop", "id: '${CAMERA_PASSWORD}!'")], ""),
        ([("size: [640, 360]", "size: '${CAMERA_PASSWORD}'")], ""),
        ([], "broker: {password: [sesame]}"),
        ([], "broker: {url: 'mqtt://joe:sesame@host'}"),
        ([], "broker: {url: 'mqtt://joe:ses@me/sesame@host'}"),
        ([], "broker: {pasword: sesame}"),
        ([], "broker: sesame://joe:sesame@x"),
        ([], "web: {users: [{name: joe, password_hash: sesame}]}"),
        ([], 'broker: {password: "sesame'),
        ([], "broker: {password: sesame: sesame}"),
        ([], "broker: {password: %sesame}"),
    ],
)
def test_no_error_shows_a_password(site, monkeypatch, changes, extra):
    monkeypatch.setenv("CAMERA_PASSWORD", "sesame")
    lines = faults(site(*changes, extra=extra))
    assert lines
    assert not any("sesame" in line.replace("'sesame://", "") for line in lines), lines


class TestCatalogueFile:
    HEADER = "sku,name,gtin,price\n"

    @pytest.fixture
    def catalogue(self, site, tmp_path):
        def write(text, encoding="utf-8"):
            (tmp_path / "catalogue.csv").write_bytes(text.encode(encoding))
            inline = GOOD[GOOD.index("catalogue:") : GOOD.index("cameras:")]
            return site((inline, "catalogue: catalogue.csv\n"))

        return write

    def test_a_good_one_is_read_with_quotes_spaces_and_byte_order_mark(self, catalogue):
        text = self.HEADER + 'TEA-01,"Tea, green\nloose", 4006381333931 ,2.50\r\n\r\nCOFFEE-07,Coffee,,\n'
        tea, coffee = load_site(catalogue(text, "utf-8-sig")).catalogue
        assert (tea.name, tea.gtin, tea.price) == ("Tea, green\nloose", "4006381333931", 2.5)
        assert (coffee.gtin, coffee.price) == (None, 1.0)

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("TEA-01,Tea,4006381333932,1", "catalogue.csv line 2: gtin: GTIN '4006381333932' has check digit 2, expec"),
            ("TEA-01,Tea,,dear", "catalogue.csv line 2: price: expected a number, found 'dear'"),
            ("TEA-01,,,1", "catalogue.csv line 2: name: missing; add it"),
            ("TEA-01,Tea,,1\nTEA-01,Tea,,1", "catalogue.csv line 3: sku: 'TEA-01' stands on line 2 too; keep one"),
            ("TEA-01,Tea,,1,89", "catalogue.csv line 2: 5 cells, expected at most 4"),
            ('TEA-01,"Tea', "catalogue.csv line 2: unexpected end of data"),
            ("", "catalogue.csv: holds no products; expected a header line and one line a product"),
        ],
    )
    def test_a_bad_row_is_named_by_its_line(self, catalogue, text, fault):
        lines = faults(catalogue(self.HEADER + text))
        assert fault in lines[0], lines
        assert len(lines) == 1

    @pytest.mark.parametrize(
        ("header", "fault"),
        [
            ("sku,nmae", "line 1: unknown column 'nmae' (did you mean 'name'?)"),
            ("name", "line 1: column 'sku' is missing"),
            ("sku;name", "line 1: columns are separated by ';', expected ','"),
            ("sku,name,sku", "line 1: column 'sku' stands there twice"),
        ],
    )
    def test_a_bad_header_is_told(self, catalogue, header, fault):
        assert any(fault in line for line in faults(catalogue(f"{header}\n1,2\n")))

    def test_its_faults_come_together_with_those_of_the_site_file(self, catalogue):
        path = catalogue(self.HEADER + "TEA-01,Tea,1,1\nX,Y,2,1\n")
        path.write_text(path.read_text().replace("id: shop", "id: a b"))
        lines = faults(path)
        assert [line.split(": ")[0] for line in lines] == ["site.yaml", "catalogue.csv line 2", "catalogue.csv line 3"]

    def test_one_that_is_not_there_is_told(self, catalogue):
        path = catalogue("")
        (path.parent / "catalogue.csv").unlink()
        assert faults(path) == ["catalogue.csv: no such file; check the path"]

    def test_thousands_of_faults_are_cut_short(self, catalogue):
        lines = faults(catalogue(self.HEADER + "A,,,\n" * 10_000))
        assert len(lines) == 51
        assert lines[-1] == "catalogue.csv: 9950 more faults"


def test_the_command_line_shows_the_lines_and_exits_1(site, tmp_path, capsys):
    for name in ("events.jsonl", "truth.json"):
        (tmp_path / name).touch()
    words = ["evaluate", "events", str(tmp_path / "events.jsonl"), str(tmp_path / "truth.json"), "--site"]
    assert main([*words, str(site(("id: shop", "id: a b"), ("id: a2", "id: a1")))]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == err.count("error: ") == 2
