#!/usr/bin/env python3
"""How the time grows with the work: resnet18 at growing batches and growing pictures, as a plot.

    python3 benches/peers/scaling.py                  # the GPU
    python3 benches/peers/scaling.py --device cpu --engine onnxruntime

Time per image should not rise with the batch, time per pixel not with the size. Every point is a process of its own, and rounds of them
alternate, as in peers.py. Writes benches/results/scaling-ENGINE-DEVICE.svg and the figures as JSON beside it.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import types
from pathlib import Path

sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
import install  # noqa: E402
from peers import Job

MODEL = "resnet18"
BATCHES = [1, 2, 4, 8, 16]
SIZES = [224, 320, 448, 640, 896]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--engine", choices=["macula", "onnxruntime", "torch"], default="macula", help="one that takes any batch and size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of an engine that runs on the CPU")
    parser.add_argument("--as-is", action="store_true", help="install nothing: all was installed by an earlier call")
    options = parser.parse_args()
    if not options.as_is:
        install.PEERS[options.engine].install()
        install.models([MODEL])
        install.pip(install.TARGET / "venv/bin/python", "matplotlib")
    batches, device = measure([(batch, 224) for batch in BATCHES], options)
    sizes, _ = measure([(1, size) for size in SIZES], options)
    result = {
        "engine": options.engine,
        "device": device,
        "version": install.versions([options.engine])[options.engine],
        "model": MODEL,
        "batches": {"batch": BATCHES, "ms_per_image": [ms / batch for ms, batch in zip(batches, BATCHES)]},
        "sizes": {"size": SIZES, "ns_per_pixel": [ms * 1e6 / size**2 for ms, size in zip(sizes, SIZES)]},
    }
    out = install.ROOT / f"benches/results/scaling-{options.engine}-{options.device}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    install.run(install.TARGET / "venv/bin/python", install.HERE / "plot.py", out, out.with_suffix(".svg"))
    print(out.read_text(), end="")


def measure(points, options):
    """The least milliseconds of a run at each point, a batch and a size; and the device."""
    command = install.PEERS[options.engine].command()
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for number, (batch, size) in enumerate(points):
            below = Path(folder) / str(number)
            below.mkdir()
            shape = types.SimpleNamespace(batch=batch, size=size, threads=options.threads)
            processes.append(Job(below, MODEL, shape).process(options.engine, command, options.device, {}))
        rounds = [[process.time(1)[0] for process in processes] for _ in range(options.rounds + 1)]
        for process in processes:
            process.end()
    # The first round warms up.
    least = [min(times) for times in zip(*rounds[1:])]
    median = [statistics.median(times) for times in zip(*rounds[1:])]
    for (batch, size), low, middle in zip(points, least, median):
        print(f"batch {batch}, {size}×{size}: min {low:.1f} ms, median {middle:.1f} ms", file=sys.stderr)
    return least, processes[0].device


if __name__ == "__main__":
    main()
