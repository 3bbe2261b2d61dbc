"""The digital transforms by name. A new one is its function in a file of `transforms/`, and its entry here."""

from pipeline.core.registry import Registry
from pipeline.specs.transform_spec import TransformSpec, Way

_OWN = (
    TransformSpec(
        "brightness",
        title="Brightness",
        axis="added, 8-bit units",
        does="a constant added to every pixel",
        grid=(-30, -20, -10, 0, 10, 20, 30),
        minimum=-255,
        maximum=255,
        function="pipeline.transforms.photometric:add_brightness",
        on_tensors="pipeline.transforms.photometric:brightness_on_tensors",
        ways=(Way("down", 0, (-10, -20, -40, -60, -80)), Way("up", 0, (10, 20, 40, 60, 80))),
        neutral=0.0,
    ),
    TransformSpec(
        "contrast",
        title="Contrast",
        axis="factor",
        does="distance from mid-grey (127.5) scaled",
        grid=(0.7, 0.8, 0.9, 1.0, 1.1, 1.2),
        minimum=0,
        maximum=10,
        function="pipeline.transforms.photometric:scale_contrast",
        on_tensors="pipeline.transforms.photometric:contrast_on_tensors",
        ways=(Way("down", 1, (0.8, 0.6, 0.5, 0.4, 0.3, 0.2)), Way("up", 1, (1.2, 1.4, 1.7, 2))),
        resolution=0.01,
        neutral=1.0,
    ),
    TransformSpec(
        "blur",
        title="Gaussian blur",
        axis="σ, pixels",
        does="Gaussian blur",
        grid=(0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0),
        minimum=0,
        maximum=50,
        function="pipeline.transforms.blur:blur",
        on_tensors="pipeline.transforms.blur:blur_on_tensors",
        ways=(Way("up", 0, (0.5, 1, 1.5, 2, 3, 4)),),
        resolution=0.05,
        short="Blur",
    ),
    TransformSpec(
        "noise",
        title="Gaussian noise",
        axis="σ, 8-bit units",
        does="Gaussian noise on every pixel and channel",
        grid=(5, 10, 15, 20),
        minimum=0,
        maximum=255,
        function="pipeline.transforms.noise:add_noise",
        on_tensors="pipeline.transforms.noise:noise_on_tensors",
        ways=(Way("up", 0, (5, 10, 20, 30, 40)),),
        resolution=0.5,
        short="Noise",
    ),
    TransformSpec(
        "jpeg",
        title="JPEG",
        axis="quality",
        does="JPEG compression, 4:2:0",
        grid=(10, 20, 30, 40, 50, 60, 70, 80, 90, 100),
        minimum=1,
        maximum=100,
        function="pipeline.transforms.compression:compress_jpeg",
        # its gradient is that of the simulator's JPEG, which transforms do not know
        on_tensors="pipeline.attacks.transform_chain:jpeg_on_tensors",
        ways=(Way("down", 101, (90, 70, 50, 30, 20, 10)),),  # there is no 101: it stands for the file before it is compressed
        whole=True,
    ),
)

TRANSFORMS = Registry("transform", TransformSpec, {spec.name: spec for spec in _OWN}, "inkproof.transforms")
