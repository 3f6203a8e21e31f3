"""Makes the networks that are compared: torchvision's, with seeded random weights.

Run by peers.py in its environment: `models.py FOLDER NAME…` writes FOLDER/NAME/ with
  model.onnx         opset 17, input `x` [1, 3, 224, 224]
  dynamic.onnx       the same network with free batch, height and width
  inferred.onnx      model.onnx with the shape of every value and linear weights transposed: wonnx needs both
  model.ncnn.param, model.ncnn.bin   what pnnx makes of model.onnx for ncnn
  model.pt           the module
"""

import subprocess
import sys
from pathlib import Path

import onnx
import torch
import torchvision
from onnx import numpy_helper, shape_inference

FREE = {"x": {0: "batch", 2: "height", 3: "width"}, "y": {0: "batch"}}


def network(name):
    """A network whose normalizations differ from the identity, so that nothing folds away by luck."""
    torch.manual_seed(0)
    module = getattr(torchvision.models, name)(weights=None).eval()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(0, 0.1)
    return module


def export(module, path, axes):
    names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": axes}
    torch.onnx.export(module, torch.randn(1, 3, 224, 224), path, dynamo=False, opset_version=17, **names)


def inferred(model):
    """wonnx reads shapes from the file alone, and takes `Gemm` without `transB`."""
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Gemm" and attribute.name == "transB" and attribute.i and node.input[1] in constants:
                weight = constants[node.input[1]]
                weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).T.copy(), weight.name))
                attribute.i = 0
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def make(folder, name):
    if (folder / "model.ncnn.bin").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    module = network(name)
    torch.save(module, folder / "model.pt")
    export(module, folder / "model.onnx", {})
    export(module, folder / "dynamic.onnx", FREE)
    onnx.save(inferred(onnx.load(folder / "model.onnx")), folder / "inferred.onnx")
    pnnx = [Path(sys.executable).with_name("pnnx"), "model.onnx", "inputshape=[1,3,224,224]f32", "fp16=0"]
    subprocess.run(pnnx, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for left in [*folder.glob("model.pnnx*"), *folder.glob("model*.py")]:
        left.unlink()


if __name__ == "__main__":
    for name in sys.argv[2:]:
        make(Path(sys.argv[1]) / name, name)
        print(name, flush=True)
