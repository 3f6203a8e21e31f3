"""What a peer's program and peers.py say to one another; ../protocol/src/lib.rs says how."""

import sys
import time

import numpy


class Job:
    """What a program was asked for."""

    def __init__(self):
        self.start = time.perf_counter()
        self.model, self.input, self.output, self.device, threads, *shape = sys.argv[1:]
        self.threads = int(threads)
        self.shape = [int(extent) for extent in shape]
        self.image = numpy.fromfile(self.input, "<f4").reshape(self.shape)

    def serve(self, device, run):
        """Runs once, then as often as asked for. `run` takes the image from the host and brings the output there."""
        output = numpy.ascontiguousarray(run(), "<f4")
        first = (time.perf_counter() - self.start) * 1e3
        output.tofile(self.output)
        self.say(f'{{"device": "{device}", "first_ms": {first}}}')
        for line in sys.stdin:
            times = []
            for _ in range(int(line)):
                start = time.perf_counter()
                run()
                times.append((time.perf_counter() - start) * 1e3)
            self.say(times)

    @staticmethod
    def say(what):
        print("peer:", what, flush=True)
