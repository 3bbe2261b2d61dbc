"""What an ONNX file says of itself beside what it computes; the package onnx reads it where it is installed."""

from pathlib import Path
from typing import Any

# What stands between the largest score's place and the output that gives it.
_ON_THE_WAY = ("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")


def n_classes_in(file: Path) -> int:
    """Returns of how many scores an output of a graph is the place of the largest; 0 where nothing tells."""
    try:
        import onnx
    except ImportError:
        return 0
    try:
        graph = onnx.shape_inference.infer_shapes(onnx.load(str(file), load_external_data=False)).graph
    except Exception:  # a graph that runs may still be more than onnx can read
        return 0
    makers = {name: node for node in graph.node for name in node.output}
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*graph.input, *graph.value_info, *graph.output)}
    found = {_n_compared(output.name, makers, shapes) for output in graph.output} - {0}
    return found.pop() if len(found) == 1 else 0


def _n_compared(name: str, makers: dict[str, Any], shapes: dict[str, Any]) -> int:
    node = makers.get(name)
    while node is not None and node.op_type in _ON_THE_WAY:
        node = makers.get(node.input[0])
    if node is None or node.op_type not in ("ArgMax", "TopK"):
        return 0
    default = 0 if node.op_type == "ArgMax" else -1
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), default)
    sides = shapes.get(node.input[0], ())
    return int(sides[axis].dim_value) if -len(sides) <= axis < len(sides) else 0
