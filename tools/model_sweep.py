#!/usr/bin/env python3
"""Every network of torchvision through macula, both devices, held against ONNX Runtime.

    python3 -m venv sweep && sweep/bin/pip install torch torchvision onnx onnxruntime onnxscript
    cargo build --release
    sweep/bin/python tools/model_sweep.py --table docs/MODELS.md

Weights are random (seeded), no batch normalization keeps its statistics 0 and 1, no parameter stays constant. Each network is exported
by torch's two exporters with a free batch, and run with batches of 1 and 2. A network passes where no output of either device is further
from ONNX Runtime's than 1e-3 of that output's largest magnitude.

Exports, and the results of one build of macula, are kept in --cache, so that a sweep can go on.
--sample DIR writes the fixed sample that the tests run instead: the same architectures with few and narrow layers.
"""

import argparse
import contextlib
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
import torchvision.models as zoo
from torchvision.models import detection, segmentation

TOLERANCE = 1e-3
BATCHES = (1, 2)
# Networks are exported with a batch of 2; the sample runs with another.
SAMPLE_BATCH = 3
# Side lengths where 224 will not do: what the architecture fixes, and what a software driver can do in reasonable time.
# (efficientnet_b7 at 128 has too few pixels for its random statistics: ONNX Runtime with and without its optimiser differ by 8 %.)
SIZES = {"inception_v3": 299, "swin_v2": 256, "ssd300": 300}
REDUCED = {"segmentation": 160, "backbone": 192, "efficientnet_b[4-6]|efficientnet_v2_[lm]|regnet_._(16|32)gf|convnext_(base|small)": 128}
BACKBONES = [
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fcos_resnet50_fpn",
    "keypointrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "retinanet_resnet50_fpn",
    "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large",
]


class Outputs(torch.nn.Module):
    """A network's outputs as a flat tuple, whatever it returns."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        result = self.network(image)
        return tuple(result.values()) if isinstance(result, dict) else result


def samples():
    """Name, size and network of the fixed sample: small enough for a repository."""
    block, getter = zoo.efficientnet.MBConvConfig, torchvision.models._utils.IntermediateLayerGetter
    v2 = {"block": zoo.swin_transformer.SwinTransformerBlockV2, "downsample_layer": zoo.swin_transformer.PatchMergingV2}
    features = lambda: zoo.MobileNetV2(width_mult=0.1).features[:18]
    yield "convnext", 32, zoo.ConvNeXt([zoo.convnext.CNBlockConfig(16, 32, 1), zoo.convnext.CNBlockConfig(32, None, 2)], num_classes=10)
    yield "deeplab", 48, torch.nn.Sequential(
        features(), segmentation.deeplabv3.ASPP(32, (2, 3), 16), torch.nn.Conv2d(16, 5, 1), torch.nn.Upsample(scale_factor=8, mode="bilinear")
    )
    yield "densenet", 32, zoo.DenseNet(growth_rate=4, block_config=(2, 2, 2, 2), num_init_features=8, num_classes=10)
    yield "efficientnet", 32, zoo.EfficientNet([block(1, 3, 1, 16, 8, 1), block(6, 5, 2, 8, 16, 2)], 0.0, num_classes=10, last_channel=64)
    yield "lraspp", 48, segmentation.LRASPP(getter(features(), {"3": "low", "17": "high"}), 8, 32, 5, inter_channels=16)
    yield "maxvit", 32, zoo.MaxVit((32, 32), 8, 4, [8, 16], [1, 1], 8, 0.0, num_classes=10)
    yield "shufflenet_v2", 32, zoo.ShuffleNetV2([1, 2, 1], [8, 16, 32, 64, 128], num_classes=10)
    yield "swin", 32, zoo.SwinTransformer([4, 4], 8, [2, 2], [2, 4], [4, 4], num_classes=10)
    yield "swin_v2", 32, zoo.SwinTransformer([4, 4], 8, [2, 2], [2, 4], [4, 4], num_classes=10, **v2)
    yield "vit", 40, zoo.VisionTransformer(40, 8, 2, 2, 16, 32, num_classes=10)


def names():
    """(kind, name) of every network."""
    yield from (("classification", name) for name in zoo.list_models(module=zoo))
    yield from (("segmentation", name) for name in zoo.list_models(module=segmentation))
    yield from (("backbone", name) for name in BACKBONES)


def side(kind, name):
    """The side length of the pictures that a network is swept with, and whether it was designed for a larger one."""
    for sizes in (SIZES, REDUCED):
        for pattern, size in sizes.items():
            if re.match(pattern, name) or pattern == kind:
                return size, sizes is REDUCED
    return 224, False


def build(kind, name):
    torch.manual_seed(0)
    if kind == "backbone":
        return detection.__dict__[name](weights=None, weights_backbone=None).backbone
    options = {"weights_backbone": None} if kind == "segmentation" else {}
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": True}
    return zoo.get_model(name, weights=None, **options)


def randomize(network, image):
    """Statistics of the network's own activations, disturbed; then nothing is left that is constant."""
    generator = torch.Generator().manual_seed(1)
    uniform = lambda like, low, high: torch.rand(like.shape, generator=generator) * (high - low) + low
    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.numel() > 1 and (parameter == parameter.flatten()[0]).all():
                one = parameter.flatten()[0].abs() > 0.5
                parameter.copy_(uniform(parameter, 0.7, 1.3) if one else uniform(parameter, -0.1, 0.1))
        if norms:
            for norm in norms:
                norm.momentum = 1.0
            network.train()
            network(image)
            for norm in norms:
                norm.running_mean += norm.running_var.sqrt() * uniform(norm.running_mean, -0.2, 0.2)
                norm.running_var *= uniform(norm.running_var, 0.8, 1.25)
    network.eval()
    # Auxiliary heads are for training.
    for head in ("aux1", "aux2", "AuxLogits"):
        if hasattr(network, head):
            setattr(network, head, None)
            network.aux_logits = False


def export(network, exporter, model, images):
    """Exports a network, its batch free, and returns what ONNX Runtime gives for each batch of images."""
    randomize(network, images[2])
    network = Outputs(network).eval()
    # The tracing exporter knows no fused attention.
    torch.backends.mha.set_fastpath_enabled(False)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        if exporter == "trace":
            torch.onnx.export(network, (images[2],), str(model), dynamo=False, input_names=["image"], dynamic_axes={"image": {0: "N"}})
        else:
            shapes = {"image": {0: torch.export.Dim("N", min=1, max=64)}}
            program = torch.onnx.export(network, (images[2],), dynamo=True, input_names=["image"], dynamic_shapes=shapes, verbose=False)
            program.save(str(model), external_data=False)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return {n: session.run(None, {"image": image.numpy()}) for n, image in images.items()}


def pictures(size, batches=BATCHES):
    generator = torch.Generator().manual_seed(2)
    return {n: torch.randn(n, 3, size, size, generator=generator) for n in batches}


def export_named(kind, name, exporter, folder):
    """Exports a network of torchvision with its inputs and outputs; returns the megabytes of its weights."""
    network = build(kind, name)
    megabytes = sum(p.numel() for p in network.parameters()) * 4 / 1e6
    if megabytes > 400 and not name.startswith("vgg"):
        raise RuntimeError(f"left out: {megabytes:.0f} MB of weights")
    images = pictures(side(kind, name)[0])
    for n, outputs in export(network, exporter, folder / "model.onnx", images).items():
        np.save(folder / f"image_{n}.npy", images[n].numpy())
        for index, output in enumerate(outputs):
            np.save(folder / f"expected_{n}_{index}.npy", output)
    return megabytes


def write_samples(folder):
    """Writes the fixed sample in the layout of the ONNX backend tests."""
    for exporter in ("trace", "dynamo"):
        for name, size, network in samples():
            torch.manual_seed(0)
            own = folder / f"{name}-{exporter}"
            own.mkdir(parents=True, exist_ok=True)
            images = pictures(size, (2, SAMPLE_BATCH))
            outputs = export(network, exporter, own / "model.onnx", images)[SAMPLE_BATCH]
            data = own / "test_data_set_0"
            data.mkdir(exist_ok=True)
            tensors = {"input_0": images[SAMPLE_BATCH].numpy()} | {f"output_{at}": output for at, output in enumerate(outputs)}
            for tensor, values in tensors.items():
                (data / f"{tensor}.pb").write_bytes(onnx.numpy_helper.from_array(values, tensor).SerializeToString())
            # What exporters write for people: where in a source file each node comes from.
            model = onnx.load(own / "model.onnx")
            for node in model.graph.node:
                node.ClearField("doc_string")
                node.ClearField("metadata_props")
            onnx.save(model, own / "model.onnx")
            print(own, sum(f.stat().st_size for f in own.rglob("*.*")) // 1000, "KB", flush=True)


def macula(program, *arguments):
    done = subprocess.run([program, *map(str, arguments), "--json"], capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        raise RuntimeError(" ".join(done.stderr.split())[:300])
    return json.loads(done.stdout)


def run(program, folder):
    """Runs an export on both devices; returns nodes, worst relative error, whether every top-1 is equal, and problems."""
    worst, equal, nodes, on_gpu = 0.0, True, 0, 0
    for n in BATCHES:
        for device in ("cpu", "gpu"):
            with tempfile.TemporaryDirectory() as out:
                ran = macula(program, "run", folder / "model.onnx", "--input", f"image={folder / f'image_{n}.npy'}", "--output", out, "--device", device)
                for index, output in enumerate(ran["outputs"]):
                    got, expected = np.load(output["file"]), np.load(folder / f"expected_{n}_{index}.npy")
                    if got.shape != expected.shape or not np.isfinite(got).all():
                        raise RuntimeError(f"batch {n} on {device}: output {index} is {got.dtype}{list(got.shape)}, not all finite or of another shape")
                    worst = max(worst, float(np.abs(got - expected).max() / np.abs(expected).max()))
                    if expected.ndim == 2:
                        equal = equal and bool((got.argmax(1) == expected.argmax(1)).all())
    plan = macula(program, "inspect", folder / "model.onnx", "--device", "gpu", "--dim", f"N={BATCHES[-1]}")
    places = [node["runs_as"] for node in plan["nodes"]]
    nodes, on_gpu = len(places), sum(not place.startswith("CPU") for place in places)
    on_cpu = sorted({f"{node['op']}: {node['runs_as']}" for node in plan["nodes"] if node["runs_as"].startswith("CPU")})
    return {"nodes": nodes, "on_gpu": on_gpu, "error": worst, "top1": equal, "on_cpu": on_cpu}


def run_once(program, folder):
    """As `run`, remembered for this very program."""
    stat, kept = pathlib.Path(program).stat(), folder / "result.json"
    stamp = [stat.st_size, stat.st_mtime_ns]
    if kept.exists() and (known := json.loads(kept.read_text()))["program"] == stamp:
        return known["result"]
    result = run(program, folder)
    kept.write_text(json.dumps({"program": stamp, "result": result}))
    return result


def sweep_one(arguments, kind, name, exporter):
    folder = arguments.cache / f"{name}-{exporter}"
    record = {"kind": kind, "name": name, "exporter": exporter, "size": side(kind, name)[0]}
    try:
        done = folder / "export.json"
        if done.exists():
            exported = json.loads(done.read_text())
        else:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                exported = {"megabytes": export_named(kind, name, exporter, folder)}
            except Exception as problem:
                lines = str(problem).strip().splitlines() or [repr(problem)]
                exported = {"problem": lines[0] if lines[0].startswith("left out") else f"not exported: {lines[0][:120]}"}
            done.write_text(json.dumps(exported))
        record.update(exported)
        if "problem" not in record and not arguments.export_only:
            record.update(run_once(arguments.macula, folder))
            if not record["error"] <= TOLERANCE:
                record["problem"] = f"relative error {record['error']:.1e}"
            elif not record["top1"]:
                record["problem"] = "top-1 differs"
    except Exception as problem:
        record["problem"] = str(problem)
    return record


def table(records):
    """The table in Markdown."""
    lines = [
        "# Networks of torchvision\n",
        __doc__.split("\n\n")[2].replace("\n", " ") + "\n",
        "Written by `tools/model_sweep.py`. Sizes are those of the square picture; networks marked † ran below the size that they were",
        "designed for, because a software Vulkan driver (llvmpipe) computed them. Errors are relative to the output's largest magnitude.\n",
    ]
    for kind, title in (("classification", "Classification"), ("segmentation", "Segmentation"), ("backbone", "Backbones of detection")):
        own = [r for r in records if r["kind"] == kind]
        passed = sum("problem" not in r for r in own)
        tried = sum(not r.get("problem", "").startswith(("left out", "not exported")) for r in own)
        lines += [f"## {title}: {passed} of {tried} pass\n", "| network | exporter | size | nodes | on the GPU | worst error | top-1 | result |"]
        lines.append("|---|---|--:|--:|--:|--:|---|---|")
        for r in own:
            reduced = " †" if side(kind, r["name"])[1] else ""
            top1 = {True: "equal" if kind == "classification" else "–", False: "differs"}.get(r.get("top1"), "")
            error = f"{r['error']:.1e}" if "error" in r else ""
            result = r.get("problem", "pass").replace("|", "\\|")
            cells = [r["name"], r["exporter"], f"{r['size']}{reduced}", r.get("nodes", ""), r.get("on_gpu", ""), error, top1, result]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
        lines.append("")
    on_cpu = sorted({place for r in records for place in r.get("on_cpu", [])})
    lines.append("Nodes on the CPU in a GPU session: " + ("; ".join(on_cpu) if on_cpu else "none") + ".")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="", help="a regular expression that names must match")
    parser.add_argument("--exporter", choices=["trace", "dynamo", "both"], default="both")
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("target/sweep"))
    parser.add_argument("--macula", default="target/release/macula")
    parser.add_argument("--export-only", action="store_true")
    parser.add_argument("--sample", type=pathlib.Path, help="write the fixed sample here, and sweep nothing")
    parser.add_argument("--table", type=pathlib.Path, help="a Markdown file to write")
    arguments = parser.parse_args()
    if arguments.sample:
        write_samples(arguments.sample)
        return
    exporters = ["trace", "dynamo"] if arguments.exporter == "both" else [arguments.exporter]
    records = []
    for kind, name in names():
        if not re.search(arguments.models, name):
            continue
        for exporter in exporters:
            record = sweep_one(arguments, kind, name, exporter)
            records.append(record)
            print(name, exporter, record.get("problem", f"pass {record.get('error', 0):.1e}"), flush=True)
            if arguments.table:
                arguments.table.write_text(table(records))
    failed = [r for r in records if not r.get("problem", "left out").startswith(("left out", "not exported"))]
    print(f"{len(records) - len(failed)} of {len(records)} pass or are left out")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
