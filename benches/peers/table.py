"""The results as Markdown and JSON."""

import datetime
import json
import math
import platform

HEADER = ["engine", "min ms", "median ms", "macula ÷ this", "cold start s", "load s", "peak MB", "difference"]


def brief(row):
    """One peer on one model in a line."""
    if "error" in row:
        return row["error"]
    ratio = f", macula ÷ this {row['macula_by_this']:.3f}" if "macula_by_this" in row else ""
    return f"min {row['min_ms']:.2f} ms, median {row['median_ms']:.2f} ms{ratio}, cold start {row['cold_s']:.2f} s"


def cells(name, row):
    if "error" in row:
        return [name, row["error"].replace("|", "\\|")]
    peak, ratio = row["peak_mb"], row.get("macula_by_this")
    return [
        name,
        f"{row['min_ms']:.2f}",
        f"{row['median_ms']:.2f}",
        "" if ratio is None else f"{ratio:.3f}",
        f"{row['cold_s']:.2f}",
        f"{row['load_s']:.2f}",
        "" if peak is None else f"{peak:.0f}",
        f"{row['difference']:.1g}",
    ]


def line(values):
    return "| " + " | ".join(values) + " |"


def means(results):
    """For each peer the geometric mean of macula's time by its own, over the models that it runs, and how many these are."""
    ratios = {}
    for rows in results.values():
        for name, row in rows.items():
            if name != "macula" and row.get("macula_by_this"):
                ratios.setdefault(name, []).append(row["macula_by_this"])
    return {name: (math.exp(sum(map(math.log, of)) / len(of)), len(of)) for name, of in ratios.items()}


def markdown(about, results):
    yield f"# macula and its peers on {about['device']}\n"
    yield (
        f"{about['date']}, {about['processor']}, {about['threads']} threads, f32, batch {about['batch']}, "
        f"{about['size']}×{about['size']}, upload and download included."
    )
    yield (
        "`macula ÷ this` is the median over rounds of macula's time by that engine's: below 1 macula is faster. `cold start` is a "
        "process from its start to its first output with empty caches, `load` the same without the start of interpreter and imports; "
        "`difference` is the largest one to ONNX Runtime's output.\n"
    )
    yield ", ".join(f"{name} {version}" for name, version in about["versions"].items()) + ".\n"
    yield "## Geometric means of macula ÷ this\n"
    yield line(["engine", "mean", "models"]) + "\n|---|---|---|"
    for name, (mean, count) in means(results).items():
        yield line([name, f"{mean:.3f}", str(count)])
    for model, rows in results.items():
        yield f"\n## {model}\n\n{line(HEADER)}\n|{'---|' * len(HEADER)}"
        for name, row in rows.items():
            yield line(cells(name, row))


def processor():
    try:
        with open("/proc/cpuinfo") as info:
            return next(text.split(":")[1].strip() for text in info if text.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def added(path, about, results):
    """What a table has already, with these results in place of older ones of the same engines on the same models."""
    path = path.with_suffix(".json")
    if not path.exists():
        return about, results
    old = json.loads(path.read_text())
    about = about | {"versions": old["about"]["versions"] | about["versions"]}
    return about, old["models"] | {model: old["models"].get(model, {}) | rows for model, rows in results.items()}


def write(path, about, results):
    about = {"date": datetime.date.today().isoformat(), "processor": processor()} | about
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(markdown(about, results)) + "\n")
    geometric = {name: {"mean": mean, "models": count} for name, (mean, count) in means(results).items()}
    path.with_suffix(".json").write_text(json.dumps({"about": about, "means": geometric, "models": results}, indent=1) + "\n")
    print(path.read_text())
