"""An engine as a process of its own that runs a network when asked to; protocol/src/lib.rs says what is said."""

import json
import os
import selectors
import subprocess
import tempfile
import time

# The slowest first run is one that tunes itself for a minute or two.
PATIENCE_S = 600


class Failure(Exception):
    """Why a peer gives no figures."""


class Process:
    """Ready once it is made: it has loaded the network, run it once and written the output."""

    def __init__(self, command, environment):
        self.errors = tempfile.TemporaryFile()
        start = time.perf_counter()
        pipe = subprocess.PIPE
        try:
            self.child = subprocess.Popen(
                command, bufsize=0, stdin=pipe, stdout=pipe, stderr=self.errors, env=os.environ | environment
            )
        except OSError as error:
            self.errors.close()
            raise Failure(f"cannot be started: {error}") from error
        self.rest = b""
        try:
            answer = self.answer()
        except Failure:
            self.end()
            raise
        self.cold_s = time.perf_counter() - start
        self.device, self.first_ms = answer["device"], answer["first_ms"]

    def time(self, count):
        """The milliseconds of each of `count` runs."""
        try:
            self.child.stdin.write(f"{count}\n".encode())
        except BrokenPipeError:
            pass  # `answer` says why.
        return self.answer()

    def answer(self):
        """The next line that is for us."""
        end = time.monotonic() + PATIENCE_S
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ)
            while True:
                while b"\n" in self.rest:
                    line, _, self.rest = self.rest.partition(b"\n")
                    if line.startswith(b"peer: "):
                        return json.loads(line[6:])
                if not selector.select(max(0, end - time.monotonic())):
                    raise Failure(f"gave no answer in {PATIENCE_S} s")
                read = os.read(self.child.stdout.fileno(), 65536)
                if not read:
                    self.child.wait()
                    raise Failure(self.reason())
                self.rest += read

    def reason(self):
        """What a program that ended said last."""
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors.read().decode(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if "panicked" not in line and "RUST_BACKTRACE" not in line]
        return f"{telling[-1][:200] if telling else 'ended without a word'} (status {self.child.returncode})"

    def peak_mb(self):
        """The most memory it has had so far; none where the system does not say."""
        try:
            with open(f"/proc/{self.child.pid}/status") as status:
                return next((int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")), None)
        except OSError:
            return None

    def end(self):
        self.child.kill()
        self.child.wait()
        self.errors.close()
        self.child.stdin.close()
        self.child.stdout.close()
