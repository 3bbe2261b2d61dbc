"""Wrong inputs: each is refused at once, in one whole sentence that names what is wrong, before anything is made."""

import errno
import shutil
from pathlib import Path

import pytest

from pipeline.cli import main

RUN = ["run", "small.toml", "--dry-run", "--set"]
BIG, DEEP = "9" * 5000, "[" * 5000

# Arguments, exit code, words of the sentence. A single text is a value of --set.
WRONG: dict[str, tuple[list[str] | str, int, str]] = {
    # what an experiment file can't say
    "deep list": (f"seed={DEEP}", 3, "nested too deeply"),
    "deep key": (".".join("a" * 3000) + "=1", 2, "expected key=value"),
    "deep table": ("attacks.fgsm.options=" + "{a=" * 300 + "1" + "}" * 300, 3, "nested too deeply"),
    "many digits": (f"seed={BIG}", 3, "too many digits"),
    "beyond 64 bits": ("seed=99999999999999999999", 3, "too large a number"),
    "seed beyond 64 bits": (["run", "small.toml", "--seed", "99999999999999999999"], 3, "--seed: seed is too large"),
    "images beyond memory": ("dataset.n_images=1000000000000", 2, "expected 0 to 1000000"),
    "classes beyond memory": ("model.n_classes=1000000000", 2, "expected 0 to 100000"),
    "a side of nothing": ("layout.image_mm=1e-9", 2, "expected 5 mm or more"),
    "a side of metres": ("layout.image_mm=1e300", 2, "expected 0 to 400"),
    "no number": ("selection.min_confidence=nan", 2, "expected a number"),
    "zero character": ("base=a\0b", 3, "zero character"),
    "two values": ("seed=1\nname='x'", 2, "one value was expected"),
    "long value": (f"layout.paper={'A' * 5000}", 2, "AAA… is not allowed"),
    "empty part of a key": ("selection..n_images=3", 2, "expected key=value"),
    "misspelt section": ("selction.n_images=3", 2, '--set: unknown key "selction". Did you mean "selection"?'),
    "an attack's key is missing": ("attacks.fgsm=3", 2, "for example attacks.fgsm.name"),
    "a number that is none": ("attacks.².name=x", 2, 'there is no entry "²". Known: 0, 1, fgsm, illc.'),
    "the attack is named": ("attacks.illc.epsilons_8bit=[0]", 2, "attacks.illc.epsilons_8bit = 0 is out of range"),
    "the attack of an option is named": ("attacks.fgsm.options.seed=-1", 2, "attacks.fgsm.options.seed = -1 is out of range"),
    "empty attack": ("attacks.fgsm.name=", 2, 'unknown attack "". Known: apgd-ce'),
    "attack of no library": ("attacks.fgsm.name=foolbx:PGD", 2, "foolbx:PGD"),
    "class that is not there": ('attacks.fgsm.options.target="99"', 2, 'attack "fgsm": there is no class 99.'),
    "class that is no number": ('attacks.fgsm.options.target="²"', 2, "is no target"),
    # what a late stage would find
    "images that do not fit": ("layout.image_mm=300", 2, "The largest that fit are 90 mm."),
    "too many pages": (["selection.n_images=1000000", "dataset.n_images=200000"], 2, "a run can number 46655"),
    "chart on a screen": (["layout.calibration=true", "layout.medium=screen"], 2, "a screen has no calibration page"),
    "layer that is not there": ("explain.layer=layer44", 2, 'The network has no layer "layer44"'),
    "class to explain": ("explain.target=stpo", 2, 'Did you mean "stop"?'),
    "class by a number of many digits": (f'explain.target="{"9" * 5000}"', 2, "is beyond the model's 32 classes"),
    "image to explain": ('explain.images=["stop-99"]', 2, 'the data set has no image "stop-99"'),
    "patch beyond the image": ("explain.patch_px=4000", 2, "larger than the image"),
    "judge that is not there": ('judges=[{name="onnx:none.onnx"}]', 3, 'judge "onnx:none.onnx": There is no ONNX file'),
    "model that answers nothing": ("model.mean=[1e300, 1, 1]", 3, "numbers that are not finite"),
    "misspelt model": ("model.name=torchvision:resnt18", 2, "Did you mean torchvision:resnet18"),
    "weights that are a folder": ("model.weights=folder", 3, "There is no weights file folder"),
    "weights of nothing": ("model.weights=empty", 3, "empty is not a weights file"),
    "classes that are a folder": ("model.classes=folder", 3, "cannot be opened"),
    "data set of a file": ("dataset.name=folder:small.toml", 3, "There is no folder small.toml"),
    "table that is a folder": ("dataset.name=csv:folder", 3, "cannot be opened"),
    "table that is no text": ("dataset.name=csv:binary", 3, "is not UTF-8 text"),
    "label of many digits": ("dataset.name=csv:digits.csv", 3, "is beyond the model's 32 classes"),
    "misspelt data set": ("dataset.name=torchvision:Cifar10", 2, "Did you mean torchvision:CIFAR10?"),
    "misspelt profile": ("photograph.profile=offce-phone", 2, 'Did you mean "office-phone"?'),
    "profile that is nested": ("photograph.profile=deep.toml", 3, "nested too deeply"),
    "profile of another kind": ("photograph.profile=small.toml", 3, "does not belong there"),
    "table cloth that is missing": ("photograph.background=none.png", 3, "no such picture or folder"),
    "misspelt study": ("report.reproduces=kurakn2016", 2, 'Did you mean "kurakin2016"?'),
    "negative epsilon": ("attacks.fgsm.epsilons_8bit=[-1]", 2, "expected 1 to 255"),
    "misspelt key": ("selection.images=3", 2, "n_images"),
    "misspelt attack": ("attacks.fgsm.name=fgms", 2, '--set: unknown attack "fgms"'),
    "misspelt transform": ("transforms.blurr=[1]", 2, 'Did you mean "blur"?'),
    "quality of nothing": ("transforms.jpeg=[0]", 2, "expected 1 to 100"),
    "misspelt source of models": ("model.name=torchvison:resnet18", 2, "torchvision"),
    "misspelt source of images": ("dataset.name=foldr:x", 2, "folder"),
    "weights that are missing": ("model.weights=none.pth", 3, "none.pth"),
    "folder without images": ("dataset.name=folder:folder", 3, "folder"),
    "folder that is missing": ("dataset.name=folder:gone", 3, "gone"),
    # the command line
    "no command": ([], 2, "required"),
    "misspelt command": (["rnu", "small.toml"], 2, 'Did you mean "run"?'),
    "misspelt flag": (["run", "small.toml", "--fast"], 2, "--fast"),
    "file that is missing": (["run", "none.toml"], 3, "no such experiment file"),
    "device that is missing": (["run", "small.toml", "--device", "cuda:77"], 4, "--device cpu"),
    "fewer than no workers": (["run", "small.toml", "--workers", "-2"], 2, "--workers"),
    "stage before its time": (["rate", "small.toml"], 2, "rate needs classify, which is missing"),
    "misspelt file": (["run", "smal.toml"], 3, "Did you mean small.toml?"),
    "folder as file": (["run", "folder"], 3, "folder is a folder."),
    "file that is no text": (["run", "binary"], 3, "binary is not UTF-8 text."),
    "workspace of a file": (["run", "small.toml", "--workspace", "empty"], 3, "a folder is needed"),
    "no worker": (["run", "small.toml", "--workers", "0"], 2, "--workers 0: expected 1 to 256."),
    "too many workers": (["run", "small.toml", "--workers", "100000"], 2, "expected 1 to 256."),
    "half a worker": (["run", "small.toml", "--workers", "1.5"], 2, "--workers"),
    "choices of the option itself": (["reproduce", "kurakin2016", "--photos", "foo"], 2, "Known: any, me, simulated."),
    "misspelt study of a command": (["reproduce", "kurakn2016"], 2, 'Did you mean "kurakin2016"?'),
    "paper that is none": (["calibrate", "--page", "a.pdf", "--paper", "A5"], 2, "invalid choice: 'A5'"),
    "paper of photos": (["calibrate", "x.jpg", "--paper", "A3"], 2, "--paper and --orientation are of --page"),
    "page that is a folder": (["calibrate", "--page", "folder"], 3, "folder is there already"),
    "photo that is missing": (["calibrate", "x.jpg"], 3, "there is no such photo"),
    "correlation that is no number": (["plan", "small.toml", "--page-correlation", "nan"], 2, "expected 0 to 1"),
    "nothing that can be certified": (["certify", "small.toml"], 2, 'Add a [[defences]] entry named "randomised-smoothing".'),
    "certificate that is always right": (["certify", "small.toml", "--alpha", "0"], 2, "--alpha 0: expected a chance above 0"),
    "certificate of no copy": (["certify", "small.toml", "--n-samples", "0"], 2, "--n-samples 0: expected 1 or more."),
    "attack for the table": (["attack-table", "small.toml", "--attacks", "fgms"], 2, 'Did you mean "fgsm"?'),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "folder").mkdir()
    (folder / "empty").touch()
    (folder / "binary").write_bytes(b"path,label\n\xff\xfe\n")
    (folder / "digits.csv").write_text(f"path,label\nsmall.toml,{BIG}\n", encoding="utf-8")
    (folder / "deep.toml").write_text(f"a = {DEEP}", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("words", "code", "said"), WRONG.values(), ids=WRONG.keys())
def test_it_is_refused_in_one_sentence_before_anything_is_made(places, small_file, monkeypatch, capsys, words, code, said):
    shutil.copy(small_file, places)
    monkeypatch.chdir(places)
    before = sorted(places.iterdir())
    arguments = [*RUN, words] if isinstance(words, str) else words
    if arguments and "=" in arguments[0]:
        arguments = ["run", "small.toml", "--dry-run", *(word for setting in arguments for word in ("--set", setting))]
    assert main([*arguments, "-q"]) == code
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert said in line and line.startswith("inkproof: ") and line.endswith((".", "?", " --help", ".toml"))
    assert len(line) < 700 and printed.out == "" and sorted(places.iterdir()) == before


FILES = {
    "deep": f"seed = {DEEP}",
    "deep tables": "[" + ".".join("a" * 3000) + "]\n",
    "deep inline tables": "seed = " + "{a=" * 3000,
    "digits": f"seed = {BIG}\n",
    "list of numbers": "attacks = [1, 2]\n",
    "one table for a section": "[[selection]]\nn_images = 3\n",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES.keys())
def test_a_file_that_no_experiment_can_be_is_refused_with_its_place(tmp_path, monkeypatch, capsys, text):
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text(text, encoding="utf-8")
    assert main(["status", "my.toml"]) in (2, 3)
    line = capsys.readouterr().err
    assert line.startswith("inkproof: my.toml") and line.count("\n") == 1 and line.rstrip().endswith((".", "?"))
    assert main(["status", "my.toml", "--set", "attacks.0.name=x"]) in (2, 3)


def test_an_epsilon_of_many_digits_is_a_row_that_is_told(tiny, tmp_path, monkeypatch, capsys):
    workspace = shutil.copytree(tiny, tmp_path / "copy")
    monkeypatch.chdir(workspace)
    image = next((workspace / "printouts/small/images/clean").glob("*.png")).stem
    Path("a.csv").write_text(f"image_id,attack,epsilon,variant,label\n{image},fgsm,{'9' * 400},clean,stop\n", encoding="utf-8")
    assert main(["import-predictions", "small.toml", "a.csv", "--judge", "x"]) == 3
    assert "is no whole number from 0 to 255" in capsys.readouterr().err


SYSTEM = {
    "disk full": (errno.ENOSPC, 4, "the disk is full. Make room"),
    "file too large": (errno.EFBIG, 4, "the file would become larger than is allowed here. Choose another place"),
    "read-only": (errno.EROFS, 4, "nothing can be written there."),
    "rights": (errno.EACCES, 4, "not allowed to write or read there."),
    "many files": (errno.EMFILE, 4, "too many files are open."),
    "failing disk": (errno.EIO, 4, "the disk or its connection fails."),
    "file for a folder": (errno.ENOTDIR, 3, "a file stands where a folder is needed."),
    "long name": (errno.ENAMETOOLONG, 3, "the name is too long."),
    "unknown": (errno.ENOEXEC, 3, "exec format error."),
}


@pytest.mark.parametrize(("number", "code", "said"), SYSTEM.values(), ids=SYSTEM.keys())
def test_what_the_system_refuses_is_told_with_the_file(tmp_path, monkeypatch, capsys, number, code, said):
    def refuses(*_: object) -> None:
        raise OSError(number, "Exec format error")  # as a full disk does: without a name

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", refuses)
    assert main(["init", "my.toml"]) == code
    assert f"my.toml: {said}" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_library_that_names_only_the_missing_file_is_told_in_a_sentence(tmp_path, monkeypatch, capsys):
    def refuses(*_: object, **__: object) -> None:
        raise FileNotFoundError(Path("printout.pdf"))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.store.write_bytes", refuses)
    assert main(["init", "my.toml"]) == 3
    assert capsys.readouterr().err == "inkproof: printout.pdf: there is no such file or folder.\n"
