#!/usr/bin/env python3
"""macula beside other engines: the same networks on the same device, in turn.

    python3 benches/peers/peers.py                     # the GPU, every model and every peer that runs there
    python3 benches/peers/peers.py --device cpu --models resnet18,mobilenet_v2 --peers ncnn,onnxruntime --rounds 20

Installs what it needs below target/peers, makes the models, starts every engine as a process of its own and has them run in short
rounds, one after the other, so that a machine that slows down slows all of them down. Timings include upload and download, not
start-up. README.md beside this file says how each peer is run; the tables go to benches/results/.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path

sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
import compare  # noqa: E402
import install
import table
from process import Failure, Process

MODELS = ["resnet18", "resnet50", "mobilenet_v2", "squeezenet1_1", "densenet121", "shufflenet_v2_x1_0"]
TOLERANCE = 1e-3
# Worker threads of the peer before spin a little after its last run.
PAUSE_S = 0.05


def main():
    options = arguments()
    os.environ.update(install.driver(options.mesa) if options.mesa else {})
    if not options.as_is:
        install.PEERS["onnxruntime"].install()
        install.models(options.models)
    peers = ready(["macula", *options.peers], options)
    name, results = None, {}
    for model in options.models:
        print(model, file=sys.stderr)
        results[model] = measure(model, peers, options)
        name = name or results[model]["macula"].get("device")
    about = {"device": name or options.device, "batch": options.batch, "size": options.size, "threads": options.threads}
    about |= {"versions": install.versions(peers)}
    table.write(options.out, *(table.added(options.out, about, results) if options.add else (about, results)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",")
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--models", type=names, default=MODELS, help="networks of torchvision, by default %(default)s")
    parser.add_argument("--peers", type=names, help=f"of {', '.join(install.PEERS)}; by default all that run on the device")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a round of a peer takes, at least one run")
    parser.add_argument("--starts", type=int, default=1, help="cold starts, of which the fastest counts")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=224, help="height and width")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the engines that run on the CPU")
    parser.add_argument("--mesa", type=Path, help="a folder with another Mesa for every peer; fetched from backports where absent")
    parser.add_argument("--as-is", action="store_true", help="install nothing: all was installed by an earlier call")
    parser.add_argument("--add", action="store_true", help="to what the table has of other models and peers, each beside macula in its own call")
    parser.add_argument("--out", type=Path, help="the table, by default below benches/results, and JSON beside it")
    options = parser.parse_args()
    if options.peers is None:
        options.peers = [name for name, peer in install.PEERS.items() if options.device in peer.devices and name != "macula"]
        if not options.mesa:
            options.peers = [name for name in options.peers if not install.PEERS[name].needs_mesa]
    for name in options.peers:
        if name not in install.PEERS:
            parser.error(f"there is no peer `{name}`; there are {', '.join(install.PEERS)}")
    options.mesa = options.mesa and options.mesa.resolve()
    other = f"-{options.batch}x{options.size}" if (options.batch, options.size) != (1, 224) else ""
    options.out = options.out or install.ROOT / f"benches/results/peers-{options.device}{other}.md"
    return options


def ready(names, options):
    """The peers by name, each with the command that starts it or the reason why there is none."""
    peers = {}
    for name in names:
        try:
            if not options.as_is:
                install.PEERS[name].install()
            peers[name] = install.PEERS[name].command()
        except subprocess.CalledProcessError as error:
            peers[name] = Failure(f"cannot be installed: {error.cmd[0]} ended with status {error.returncode}")
            print(f"{name} {peers[name]}", file=sys.stderr)
    return peers


def measure(model, peers, options):
    """Every peer on one model: what the table says of each, by name."""
    rows, running, expected = {}, {}, None
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), model, options)
        expected = job.expected()
        for name, command in peers.items():
            try:
                if isinstance(command, Failure):
                    raise command
                running[name], rows[name] = job.start(name, command, expected)
            except Failure as failure:
                rows[name] = {"error": str(failure)}
        rounds = {name: [] for name in running}
        counts = dict.fromkeys(running, 1)
        # The first round warms up and says how many runs make a round.
        for number in range(options.rounds + 1):
            order = list(running)
            for name in order[number % len(order) :] + order[: number % len(order)] if order else []:
                time.sleep(PAUSE_S)
                try:
                    times = running[name].time(counts[name])
                except Failure as failure:
                    running.pop(name).end()
                    rows[name] = {"error": str(failure)}
                    continue
                if number == 0:
                    counts[name] = max(1, round(options.seconds * 1e3 / times[-1]))
                else:
                    rounds[name].append(times)
        for name, process in running.items():
            rows[name] |= {"peak_mb": process.peak_mb()} | figures(rounds[name], rounds.get("macula"))
            process.end()
        for name, row in rows.items():
            print(f"  {name}: {table.brief(row)}", file=sys.stderr)
    return rows


def figures(rounds, macula):
    """Of the times of each round in milliseconds, a list for each."""
    times = sorted(milliseconds for times in rounds for milliseconds in times)
    row = {"runs": len(times), "min_ms": times[0], "median_ms": statistics.median(times)}
    if macula and len(macula) == len(rounds):
        ratios = [statistics.median(ours) / statistics.median(theirs) for ours, theirs in zip(macula, rounds)]
        row["macula_by_this"] = statistics.median(ratios)
    return row


class Job:
    """One model and one input, in a folder for what the peers are given and give back."""

    def __init__(self, folder, model, options):
        self.folder, self.model, self.options = folder, model, options
        self.shape = [options.batch, 3, options.size, options.size]
        elements = options.batch * 3 * options.size**2
        # Any fixed numbers that differ from place to place.
        array("f", ((i * 7919 % 2003) / 1000 - 1 for i in range(elements))).tofile((folder / "x").open("wb"))

    def process(self, name, command, device, environment):
        file = install.PEERS[name].model(install.MODELS / self.model, self.shape)
        arguments = [file, self.folder / "x", self.folder / "y", device, self.options.threads, *self.shape]
        return Process([*command, *map(str, arguments)], environment)

    def output(self):
        values = array("f", (self.folder / "y").read_bytes())
        (self.folder / "y").unlink()
        return values

    def expected(self):
        """What ONNX Runtime computes on the CPU."""
        name = "onnxruntime"
        self.process(name, install.PEERS[name].command(), "cpu", {}).end()
        return self.output()

    def start(self, name, command, expected):
        """A peer that has run once, with no cache of an earlier process, and what is known of it then."""
        starts = []
        for _ in range(self.options.starts):
            if starts:
                starts[-1][0].end()
            caches = self.folder / f"caches of {name}"
            shutil.rmtree(caches, ignore_errors=True)
            caches.mkdir()
            environment = {"MESA_SHADER_CACHE_DIR": str(caches), "XDG_CACHE_HOME": str(caches)}
            starts.append((self.process(name, command, self.options.device, environment), self.output()))
        process, output = starts[-1]
        difference = compare.difference(output, expected)
        if not difference <= TOLERANCE:
            process.end()
            raise Failure(f"its output differs from ONNX Runtime's by {difference:.2g} of the largest element")
        row = {"device": process.device, "difference": difference}
        row["cold_s"] = min(process.cold_s for process, _ in starts)
        row["load_s"] = min(process.first_ms for process, _ in starts) / 1e3
        return process, row


if __name__ == "__main__":
    main()
