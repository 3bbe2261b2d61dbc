"""Data sets: every image gets the model's class by any usual label, and what cannot be used is listed with its reason."""

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hostile_files import encoded, odd_contents, whole_files
from PIL import Image

from pipeline.core.errors import BadInput, InkproofError
from pipeline.datasets import DATASETS, open_dataset
from pipeline.datasets.dataset import Dataset, item_ids
from pipeline.datasets.labels import Labels
from pipeline.store.hashes import Hashes, named_files

NAMES = ("tench, Tinca tinca", "great white shark, white shark, man-eater", "crane", "maillot", "maillot, tank suit", "crane")
IDS = ("n01440764", "n01484850", "n02012849", "n03710637", "n03710721", "n03126707")


@dataclass(frozen=True)
class Settings:
    name: str
    n_images: int = 0
    root: str = ""
    path_column: str = ""
    label_column: str = ""
    split: str = "test"
    follow_links: bool = False


def picture(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), colour).save(path)
    return path


def listed(dataset: Dataset) -> list[tuple[str, int]]:
    return [(dataset.item_id(i), dataset.label(i)) for i in range(len(dataset))]


def reasons(dataset: Dataset) -> dict[str, str]:
    return {r.path: r.reason for r in dataset.rejected}


@pytest.mark.parametrize(
    ("label", "index"),
    [
        ("tench, Tinca tinca", 0), ("TENCH", 0), ("tinca_tinca", 0), ("Great  White-Shark", 1), ("white shark, man-eater", 1),
        ("maillot", 3), ("tank suit", 4), ("maillot, tank suit", 4), ("n02012849", 2), ("n03126707_crane", 5), ("3", 3),
        (" 0004 ", 4),
    ],
)  # fmt: skip
def test_a_label_is_found_as_name_synonym_wordnet_id_or_index(label: str, index: int) -> None:
    labels = Labels(NAMES, IDS)
    assert labels.index_of(label) == index and labels.why_not(label) == ""


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("crane", "2 classes"), ("goldfish", "no class"), ("6", "beyond"), ("-1", "no class"), ("n00000001", "no such class"),
        (" ", "empty"), ("tench, man-eater", "several"),
    ],
)  # fmt: skip
def test_a_label_that_fits_no_class_or_two_says_why(label: str, reason: str) -> None:
    labels = Labels(NAMES, IDS)
    assert labels.index_of(label) is None and reason in labels.why_not(label)


@pytest.mark.parametrize(
    ("label", "index"),
    [
        ("caf\u00e9", 0), ("cafe\u0301", 0), ("CAF\u00c9", 0), ("caf\u00e9\u200b", 0), ("St. Bernard's", 1),
        ("st.\u00a0bernard\u2019s", 1), ("\uff11\uff12\u3000\uff4b\uff4d", 2),
        ("Polish", 3), ("polish", 4), ("\ufb01g", 5), ("stra\u00dfe", 6),
        ("STRASSE", 6), ("\u72ac", 7), ("\u72d7", 7), ("\u0643\u0644\u0628\u200f", 8),
        ("\u2764", 9), ("3.0", 3), ("4.", 4), ("003.00", 3),
    ],
)  # fmt: skip
def test_names_that_look_equal_to_a_reader_are_equal(label: str, index: int) -> None:
    names = (
        "cafe\u0301",
        "St. Bernard\u2019s",
        "12 km",
        "Polish",
        "polish",
        "fig",
        "Strasse",
        "\u72ac\u3001\u72d7",
        "\u0643\u0644\u0628",
        "\u2764\ufe0f",
    )
    labels = Labels(names)
    assert (labels.index_of(label), labels.why_not(label)) == (index, "")


def test_case_that_alone_tells_two_classes_apart_is_asked_for() -> None:
    assert "2 classes (0, 1)" in Labels(("Polish", "polish", "x")).why_not("POLISH")


@pytest.mark.parametrize(("label", "reason"), [("7.0", "index 7 is beyond"), ("1.5", "no class"), ("-1.0", "no class")])
def test_a_number_that_is_no_index_says_why(label: str, reason: str) -> None:
    assert reason in Labels(NAMES).why_not(label)


def test_a_class_named_by_a_number_is_found_by_the_number_as_a_table_writes_it() -> None:
    labels = Labels(("1", "10", "2", "2.0"))
    assert [labels.index_of(label) for label in ("1.0", "10.0", "2", "2.0", "2.00")] == [0, 1, 2, 3, 2]


def test_a_name_made_of_digits_is_a_name_first() -> None:
    assert Labels(("1", "2", "0")).index_of("2") == 1


def test_wordnet_ids_need_no_list_where_all_of_them_are_there() -> None:
    anonymous = Labels([f"class {i}" for i in range(6)])
    assert "model.classes" in anonymous.why_not(IDS[0])
    ranked = anonymous.with_ranked_wordnet_ids(IDS)
    assert [ranked.index_of(i) for i in sorted(IDS)] == list(range(6))
    assert anonymous.with_ranked_wordnet_ids(IDS[:5]).index_of(IDS[0]) is None


def test_a_folder_gives_its_images_in_order_with_the_models_classes(tmp_path: Path) -> None:
    for path in ("tench/b.png", "tench/a.jpg", "n01484850/deep/er/c.png", "2/x.webp", "Tank_Suit/y.png"):
        picture(tmp_path / path)
    dataset = open_dataset(Settings(f"folder:{tmp_path}"), NAMES, IDS)
    assert listed(dataset) == [("2-x", 2), ("Tank_Suit-y", 4), ("n01484850-deep-er-c", 1), ("tench-a", 0), ("tench-b", 0)]
    assert dataset.rejected == [] and dataset.class_names == NAMES
    assert dataset.image(0).pixels.shape == (5, 6, 3)


def test_every_file_of_a_folder_that_is_not_used_is_listed_with_its_reason(tmp_path: Path) -> None:
    root, outside = tmp_path / "set", tmp_path / "outside"
    picture(root / "tench/good.png")
    picture(outside / "secret.png")
    picture(root / "loose.png")
    picture(root / "goldfish/a.png")
    picture(root / "goldfish/b.png")
    (root / "tench/text.jpg").write_text("no picture")
    (root / "tench/empty.png").write_bytes(b"")
    (root / "tench/.DS_Store").write_bytes(b"x")
    picture(root / "tench/.cache/a.png")
    (root / "tench/leak.png").symlink_to(outside / "secret.png")
    (root / "tench/inside.png").symlink_to(root / "tench/good.png")
    (root / "tench/dangling.png").symlink_to(root / "tench/nothing.png")
    (root / "man-eater").symlink_to(outside)
    os.mkfifo(root / "tench/pipe.png")
    dataset = open_dataset(Settings(f"folder:{root}"), NAMES, IDS)
    assert [i for i, _ in listed(dataset)] == ["tench-good", "tench-inside"]
    found = reasons(dataset)
    expected = {
        "loose.png": "outside a class folder", "goldfish/": "no class 'goldfish' (2 files)", "tench/text.jpg": "not an image",
        "tench/empty.png": "0 bytes", "tench/.DS_Store": "hidden", "tench/.cache/": "hidden", "tench/leak.png": "leads out",
        "tench/dangling.png": "no such file", "man-eater/": "link to a folder", "tench/pipe.png": "not a file",
    }  # fmt: skip
    assert found.keys() == expected.keys()
    for path, reason in expected.items():
        assert reason in found[path]


def test_a_damaged_image_is_in_the_set_and_says_so_when_it_is_read(tmp_path: Path) -> None:
    path = picture(tmp_path / "tench/a.png")
    path.write_bytes(path.read_bytes()[:40])
    dataset = open_dataset(Settings(f"folder:{tmp_path}"), NAMES, IDS)
    with pytest.raises(BadInput, match="damaged"):
        dataset.image(0)


def test_a_damaged_image_is_named_by_its_path_in_the_data_set(tmp_path: Path) -> None:
    path = picture(tmp_path / "tench/\u732b \u00e9.png")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(BadInput) as caught:
        open_dataset(Settings(f"folder:{tmp_path}"), NAMES, IDS).image(0)
    assert str(caught.value).startswith("tench/\u732b \u00e9.png begins like PNG, but is damaged") and str(tmp_path) not in str(
        caught.value
    )


def test_links_out_of_a_folder_are_followed_where_the_settings_say_so(tmp_path: Path) -> None:
    root, outside = tmp_path / "set", tmp_path / "outside"
    picture(root / "tench/good.png")
    picture(outside / "deep/a.png")
    (root / "man-eater").symlink_to(outside)
    (root / "tench/one.png").symlink_to(outside / "deep/a.png")
    (outside / "again").symlink_to(root)
    shy = open_dataset(Settings(f"folder:{root}"), NAMES, IDS)
    assert [i for i, _ in listed(shy)] == ["tench-good"]
    assert all("dataset.follow_links = true" in reason for reason in reasons(shy).values()) and len(shy.rejected) == 2
    bold = open_dataset(Settings(f"folder:{root}", follow_links=True), NAMES, IDS)
    assert listed(bold) == [("man-eater-deep-a", 1), ("tench-good", 0), ("tench-one", 0)]
    assert reasons(bold) == {"man-eater/again/": "a link to a folder that it lies in"}
    assert bold.image(0).pixels.shape == (5, 6, 3)
    walked = Hashes(tmp_path / "kept.json", tmp_path).listing(root, follow_links=True)
    assert [name for name, _ in walked] == ["man-eater/deep/a.png", "tench/good.png", "tench/one.png"]


def test_a_csv_may_hold_windows_paths_absolute_paths_and_another_unicode_form(tmp_path: Path) -> None:
    root = tmp_path / "set"
    (tmp_path / "link").symlink_to(root)
    for name in ("a b/x.png", "y.png", "z.png", "cafe\u0301.png", "w.png"):
        picture(root / name)
    outside = picture(tmp_path / "outside.png")
    (root / "out.png").symlink_to(outside)
    rows = [
        "a b\\x.png", str(root / "y.png"), str(tmp_path / "link/z.png"), "caf\u00e9.png", ".\\w.png", str(outside),
        r"C:\pictures\v.png", "out.png",
    ]  # fmt: skip
    table = tmp_path / "set/labels.csv"
    table.write_text("path,label\n" + "".join(f"{row},3.0\n" for row in rows), encoding="utf-8")
    dataset = open_dataset(Settings(f"csv:{table}"), NAMES, IDS)
    assert listed(dataset) == [("a_b-x", 3), ("cafe", 3), ("w", 3), ("y", 3), ("z", 3)]
    found = reasons(dataset)
    assert "set dataset.root" in found[str(outside)] and "Windows drive" in found[r"C:\pictures\v.png"]
    assert "dataset.follow_links = true" in found["out.png"]
    assert "out" in [i for i, _ in listed(open_dataset(Settings(f"csv:{table}", follow_links=True), NAMES, IDS))]
    assert {"y.png", "a b/x.png"} <= {name.removeprefix(f"{root}/") for name, _ in named_files(table, root)}


@pytest.mark.parametrize("case", ["missing", "empty", "only loose images", "only unknown classes"])
def test_a_folder_without_a_usable_image_says_what_to_do(tmp_path: Path, case: str) -> None:
    root = tmp_path / ("missing" if case == "missing" else "")
    if case == "only loose images":
        picture(root / "a.png")
    elif case == "only unknown classes":
        picture(root / "goldfish/a.png")
    with pytest.raises(BadInput) as caught:
        open_dataset(Settings(f"folder:{root}"), NAMES, IDS)
    assert caught.value.hint and "\n" not in str(caught.value)


def test_ids_are_unique_stable_and_safe_as_file_names() -> None:
    paths = [
        "a/x.png",
        "a/x.jpg",
        "A/X.gif",
        "b/y.png",
        "日本/語.png",
        "中国/語.png",
        "ä b/c*d?.png",
        "../../etc.png",
        "l" * 300 + ".png",
        "a-x2.png",
        "con\udcff.png",
        "NUL.1.png",
        "com1.png",
        "dot. .png",
    ]
    ids = item_ids(paths)
    assert len({i.casefold() for i in ids}) == len(paths)
    assert all(
        i and len(i) <= 80 and set(i) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") for i in ids
    )
    assert all(i[0] not in ".-" for i in ids)
    assert not any(i.split(".")[0].casefold() in ("con", "nul", "com1") or i.endswith(".") for i in ids)
    assert ids[3] == "b-y" and ids == item_ids(paths)
    assert item_ids(paths[3:]) == ids[3:]


def test_a_limit_draws_at_random_by_the_seed_alone_and_keeps_ids(tmp_path: Path) -> None:
    for i in range(30):
        picture(tmp_path / f"{i % 3}/{i:02d}.png")
    settings = Settings(f"folder:{tmp_path}")
    everything = listed(open_dataset(settings, NAMES, IDS))
    some = listed(open_dataset(replace(settings, n_images=9), NAMES, IDS, seed=1))
    assert len(some) == 9 and set(some) <= set(everything) and some == sorted(some)
    assert some == listed(open_dataset(replace(settings, n_images=9), NAMES, IDS, seed=1))
    assert some != listed(open_dataset(replace(settings, n_images=9), NAMES, IDS, seed=2))
    assert len({label for _, label in some}) > 1
    assert len(open_dataset(replace(settings, n_images=99), NAMES, IDS)) == 30


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("path,label\nb.png,1\na.png,tench\n", {}),
        ("file,class_index,wnid,name\nb.png,1,x,y\na.png,0,x,y\n", {}),
        ("\ufeffFile;Name\r\nb.png;white shark\r\na.png;tench\r\n", {}),
        ("id\twhere\twhat\n1\tb.png\tn01484850\n2\ta.png\t0\n", {"path_column": "where", "label_column": "What"}),
        ('b.png,"great white shark, white shark, man-eater"\na.png,"tench, Tinca tinca"\n', {}),
        ("label,path\n1,b.png\n\n0, a.png \n", {}),
        ("path,label\nsub/../b.png,1\n./a.png,0\n", {}),
    ],
    ids=["usual", "several-columns", "semicolons", "chosen-columns", "no-header", "other-order", "dotted-paths"],
)
def test_a_csv_gives_its_images_whatever_its_columns(tmp_path: Path, text: str, changes: dict[str, str]) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    (tmp_path / "sub").mkdir()
    (tmp_path / "l.csv").write_text(text, encoding="utf-8")
    dataset = open_dataset(Settings(f"csv:{tmp_path}/l.csv", **changes), NAMES, IDS)
    assert listed(dataset) == [("a", 0), ("b", 1)] and not dataset.rejected


def test_every_row_of_a_csv_that_is_not_used_is_listed_with_its_reason(tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "a.png")
    picture(root / "b.png")
    picture(tmp_path / "out.png")
    (root / "t.png").write_text("no picture")
    (root / "leak.png").symlink_to(tmp_path / "out.png")
    rows = [
        "path,label",
        "a.png,0",
        "a.png,1",
        "gone.png,0",
        "t.png,0",
        "../out.png,0",
        f"{tmp_path}/out.png,0",
        "leak.png,0",
        "b.png,goldfish",
        "b.png",
        ",0",
        "b\0.png,0",
    ]
    (root / "l.csv").write_text("\n".join(rows))
    dataset = open_dataset(Settings(f"csv:{root}/l.csv"), NAMES, IDS)
    assert listed(dataset) == [("a", 0)]
    found = [(r.path, r.reason) for r in dataset.rejected]
    expected = [
        ("a.png", "first on line 2"), ("gone.png", "no such file"), ("t.png", "not an image"), ("../out.png", "dataset.root"),
        (f"{tmp_path}/out.png", "dataset.root"), ("leak.png", "leads out"), ("b.png", "no class 'goldfish'"),
        ("l.csv:10", "1 column"), ("l.csv:11", "path is empty"), ("b\\x00.png", "no such file"),
    ]  # fmt: skip
    assert [p for p, _ in found] == [p for p, _ in expected]
    for (_, reason), (_, part) in zip(found, expected, strict=True):
        assert part in reason


def test_csv_paths_start_from_the_root_where_one_is_set(tmp_path: Path) -> None:
    picture(tmp_path / "pictures/a.png")
    (tmp_path / "l.csv").write_text("path,label\na.png,0\n")
    assert len(open_dataset(Settings(f"csv:{tmp_path}/l.csv", root=str(tmp_path / "pictures")), NAMES, IDS)) == 1
    with pytest.raises(BadInput, match="no such file"):
        open_dataset(Settings(f"csv:{tmp_path}/l.csv"), NAMES, IDS)


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (None, {}, "no file"),
        ("", {}, "is empty"),
        ("path,label\n", {}, "no images"),
        ("picture,kind\na.png,0\n", {}, "'picture', 'kind'"),
        ("path,label\na.png,0\n", {"label_column": "klass"}, "'path', 'label'"),
        ("path,label\na.png,0\n", {"path_column": "file"}, "path_column"),
        ("path,kind\na.png,0\n", {}, "label_column"),
        ("path,label\na.png,0\n", {"root": "/no/such/folder"}, "/no/such/folder"),
        (b"path,label\n\xff\xfe.png,0\n", {}, "UTF-8"),
        (b"\x89PNG\r\n\x1a\n", {}, "UTF-8"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, text: str | bytes | None, changes: dict[str, str], message: str
) -> None:
    picture(tmp_path / "a.png")
    if text is not None:
        (tmp_path / "l.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InkproofError) as caught:
        open_dataset(Settings(f"csv:{tmp_path}/l.csv", **changes), NAMES, IDS)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def _mnist(root: Path, digits: list[int]) -> None:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.array(digits, np.uint8)[:, None, None].repeat(28, 1).repeat(28, 2)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, len(digits), 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, len(digits)) + bytes(digits))


def test_a_torchvision_set_gives_rgb_images_and_the_models_classes(tmp_path: Path) -> None:
    _mnist(tmp_path, [3, 1, 9])
    settings = Settings("torchvision:MNIST", root=str(tmp_path))
    anonymous = open_dataset(settings, [f"class {i}" for i in range(10)])
    assert listed(anonymous) == [("mnist-test-00000", 3), ("mnist-test-00001", 1), ("mnist-test-00002", 9)]
    assert anonymous.image(2).pixels.shape == (28, 28, 3) and anonymous.image(2).pixels.max() == 9
    named = open_dataset(settings, ("nine", "9 - nine", "1 - one"))
    assert [label for _, label in listed(named)] == [2, 1]
    assert [r.path for r in named.rejected] == ["mnist class 3"] and "3 - three" in named.rejected[0].reason
    assert open_dataset(replace(settings, split="train"), [f"class {i}" for i in range(10)]).item_id(0) == "mnist-train-00000"


def test_an_image_folder_of_torchvision_is_labelled_by_name_not_by_position(tmp_path: Path) -> None:
    picture(tmp_path / "maillot/a.png")
    picture(tmp_path / "tench/b.png")
    dataset = open_dataset(Settings("torchvision:ImageFolder", root=str(tmp_path)), NAMES, IDS)
    assert [label for _, label in listed(dataset)] == [3, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "torchvision:CIFAR10"}, "download=True"),
        ({"name": "torchvision:MNIST"}, "download=True"),
        ({"name": "torchvision:GTSRB"}, "download=True"),
        ({"name": "torchvision:CIFAR11"}, "CIFAR10"),
        ({"name": "torchvision:cifar10"}, "torchvision:CIFAR10"),
        ({"name": "torchvision:CIFAR10", "root": ""}, "dataset.root"),
        ({"name": "torchvision:CIFAR10", "root": "/no/such/folder"}, "/no/such/folder"),
        ({"name": "torchvision:CIFAR10", "split": "dev"}, "dev"),
        ({"name": "torchvision:SVHN", "split": "dev"}, "split"),
        ({"name": "torchvision:ImageFolder"}, "not in"),
        ({"name": "foldr:x"}, "folder:DIR"),
        ({"name": "builtin:sings"}, "builtin:signs"),
        ({"name": "builtin:signs", "split": "dev"}, "dev"),
        ({"name": "pictures"}, "csv:FILE"),
    ],
)
def test_a_data_set_that_cannot_be_opened_is_refused_in_one_line(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InkproofError) as caught:
        open_dataset(Settings(**{"root": str(tmp_path), **changes}), NAMES, IDS)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_too_few_anonymous_classes_are_refused(tmp_path: Path) -> None:
    _mnist(tmp_path, [3, 1, 9])
    with pytest.raises(BadInput, match=r"class 9, the model has 5"):
        open_dataset(Settings("torchvision:MNIST", root=str(tmp_path)), [f"class {i}" for i in range(5)])
    with pytest.raises(BadInput, match="no class of"):
        open_dataset(Settings("torchvision:MNIST", root=str(tmp_path)), NAMES, IDS)


def test_the_built_in_signs_take_the_models_classes_by_name() -> None:
    from pipeline.signs.dataset import CLASS_NAMES

    plain = open_dataset(Settings("builtin:signs", n_images=4), CLASS_NAMES, seed=3)
    assert len(plain) == 4 and plain.image(0).pixels.dtype == np.uint8 and plain.image(0).notes == ()
    turned = open_dataset(Settings("builtin:signs", n_images=4), CLASS_NAMES[::-1], seed=3)
    assert [plain.class_names[plain.label(i)] for i in range(4)] == [turned.class_names[turned.label(i)] for i in range(4)]
    assert len(open_dataset(Settings("builtin:signs"), [f"class {i}" for i in range(len(CLASS_NAMES))])) == 500
    with pytest.raises(BadInput, match="no class of"):
        open_dataset(Settings("builtin:signs", n_images=4), ("cat", "dog"))
    other = open_dataset(Settings("builtin:signs", n_images=1), CLASS_NAMES, seed=4)
    assert not np.array_equal(other.image(0).pixels, plain.image(0).pixels)


def test_the_real_photographs_are_labelled(data_root: Path) -> None:
    root = str(data_root / "imagenet/images")
    settings = Settings(f"csv:{data_root}/imagenet/labels.csv", root=root)
    names = [f"class {i}" for i in range(1000)]
    by_index = open_dataset(settings, names)
    by_id = open_dataset(replace(settings, label_column="wnid"), names, tuple(_wordnet_ids(data_root)))
    assert len(by_index) == len(by_id) == 200 and listed(by_index) == listed(by_id)
    cifar = open_dataset(
        Settings(f"folder:{data_root}/cifar10/test_jpeg"),
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    )
    assert len(cifar) == 300 and cifar.item_id(0).startswith("airplane-") and not cifar.rejected


def _wordnet_ids(data_root: Path) -> list[str]:
    from pipeline.models.class_names import read_class_list

    return list(read_class_list(data_root / "imagenet/class_index.json")[1])


def test_every_kind_of_data_set_is_listed() -> None:
    assert [pattern.partition(":")[0] for pattern, _ in DATASETS.listed()] == ["builtin", "folder", "csv", "torchvision"]


@pytest.mark.parametrize("name", ["bomb.png", "many-scans.jpg", "cut.jpg"])
def test_a_hostile_image_is_refused_without_a_word_on_the_terminal(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A decoder fills what is cut off with grey, and says so on standard error alone."""
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG")
    hostile = data[: len(data) // 2] + b"\xff\xd9" if name == "cut.jpg" else odd_contents(whole_files(tmp_path))[name]
    picture(tmp_path / "images/tench/b.png")
    (tmp_path / "images/tench" / f"a-{name}").write_bytes(hostile)
    dataset = open_dataset(Settings(f"folder:{tmp_path / 'images'}"), NAMES, IDS)
    capfd.readouterr()
    with pytest.raises(BadInput, match=name):
        dataset.image(0)
    assert dataset.image(1).pixels.shape == (5, 6, 3)
    assert capfd.readouterr() == ("", "")
