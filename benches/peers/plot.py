"""Draws what scaling.py measured: `plot.py IN.json OUT.svg`."""

import json
import sys

import matplotlib

matplotlib.use("svg")
# The same figures give the same file.
matplotlib.rcParams["svg.hashsalt"] = "macula"
from matplotlib import pyplot  # noqa: E402

with open(sys.argv[1]) as file:
    result = json.load(file)
figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
figure.suptitle(f"{result['engine']}, {result['model']}, {result['device']}")
for axes, part, x, y, name, unit in (
    (left, "batches", "batch", "ms_per_image", "batch, images of 224×224", "ms per image"),
    (right, "sizes", "size", "ns_per_pixel", "height and width of one image", "ns per pixel"),
):
    ticks, values = result[part][x], result[part][y]
    axes.plot(ticks, values, "o-")
    axes.axhspan(values[0] / 1.15, values[0] * 1.15, alpha=0.15, label="first point ± 15 %")
    axes.set(xscale="log", xlabel=name, ylabel=unit, ylim=(0, 1.25 * max(values)))
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend(loc="lower right")
figure.savefig(sys.argv[2], metadata={"Date": None})
