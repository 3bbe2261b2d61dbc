"""The manifest for Kubernetes: KubeRay's schema accepts it, and what it types is a command of this program."""

import copy
import re
import shlex
from pathlib import Path

import jsonschema
import pytest
import yaml

from pipeline.cli.parser import command_parser

ROOT = Path(__file__).parents[1]
MANIFEST = yaml.safe_load((ROOT / "deploy" / "kuberay.yaml").read_text(encoding="utf-8"))
SCHEMA = yaml.safe_load((ROOT / "tests" / "kuberay_schema.yaml").read_text(encoding="utf-8"))
CLUSTER = MANIFEST["spec"]["rayClusterSpec"]
HEAD = ("spec", "rayClusterSpec", "headGroupSpec", "template", "spec")
WRONG = {
    "a key that does not exist": (("spec", "entryPoint"), "x"),
    "a number where a text is needed": (("spec", "rayClusterSpec", "rayVersion"), 2.6),
    "no name of a group": (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "groupName"), None),
    "memory in words": ((*HEAD, "containers", 0, "resources", "limits"), {"memory": "16 GB"}),
}  # fmt: skip


def test_kuberay_accepts_the_manifest():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(MANIFEST, SCHEMA)


@pytest.mark.parametrize(("place", "value"), WRONG.values(), ids=WRONG)
def test_it_would_refuse_what_is_wrong(place, value):
    wrong = copy.deepcopy(MANIFEST)
    found = wrong
    for key in place[:-1]:
        found = found[key]
    if value is None:
        del found[place[-1]]
    else:
        found[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_its_command_works_in_a_store_on_the_cluster():
    program, *words = shlex.split(MANIFEST["spec"]["entrypoint"])
    options = command_parser().parse_args(words)
    assert program == "inkproof" and options.name == "run" and options.engine == "ray" and options.ray_address == "auto"
    assert options.workspace.startswith("s3://")
    head = CLUSTER["headGroupSpec"]["template"]["spec"]
    mounted = {mount["name"]: mount["mountPath"] for mount in head["containers"][0]["volumeMounts"]}
    assert options.experiment == f"{mounted['experiment']}/my.toml" and mounted.keys() == {
        found["name"] for found in head["volumes"]
    }
    cache = {entry["name"]: entry["value"] for entry in head["containers"][0]["env"]}
    assert cache["INKPROOF_CACHE"] == mounted["cache"]


def test_four_machines_have_the_tested_version_of_ray_and_one_image():
    tested = re.search(r"(?m)^ray==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"))
    groups = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]
    assert CLUSTER["rayVersion"] == tested[1]
    assert len({group["template"]["spec"]["containers"][0]["image"] for group in groups}) == 1
    assert 1 + sum(group["replicas"] for group in CLUSTER["workerGroupSpecs"]) == 4
