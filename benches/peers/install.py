"""What the peers need, below target/peers: a Python environment, the models, the programs of the Rust peers."""

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from process import Failure

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / "target/peers"
MODELS = TARGET / "models"
MESA = ["mesa-vulkan-drivers", "libdrm2", "libdrm-amdgpu1"]


@dataclass
class Peer:
    """An engine. `command` starts its program, `model` is the file that it is given."""

    devices: tuple
    file: str = "model.onnx"
    dynamic: str | None = "dynamic.onnx"
    needs_mesa: bool = False

    def model(self, folder, shape):
        if shape == [1, 3, 224, 224]:
            return folder / self.file
        if self.dynamic is None:
            raise Failure("takes one picture of the size that its model was made for")
        return folder / self.dynamic


@dataclass
class Python(Peer):
    """A package of PyPI, and a program in runners/."""

    package: str = ""
    program: str = ""
    environment: Path = TARGET / "venv"

    def install(self):
        pip(environment(self.environment), self.package, "numpy")

    def command(self):
        return [self.environment / "bin/python", HERE / "runners" / self.program]


@dataclass
class Rust(Peer):
    """A crate of the workspace beside this file."""

    crate: str = ""

    def install(self):
        build = ["cargo", "build", "--release", "--manifest-path", HERE / self.crate / "Cargo.toml"]
        # burn is built with the models.
        run(*build, env=os.environ | {"CARGO_TARGET_DIR": str(TARGET / "rust"), "PEER_MODELS": str(MODELS)})

    def command(self):
        return [TARGET / "rust/release" / f"peer-{self.crate}"]


PEERS = {
    "macula": Rust(("gpu", "cpu"), crate="macula"),
    "ncnn": Python(("gpu", "cpu"), file="model", dynamic=None, package="ncnn", program="run_ncnn.py"),
    "onnxruntime": Python(("cpu",), package="onnxruntime", program="run_onnxruntime.py"),
    # Its module has the name of onnxruntime's.
    "onnxruntime-webgpu": Python(
        ("gpu",), needs_mesa=True, package="onnxruntime-webgpu", program="run_onnxruntime.py", environment=TARGET / "webgpu"
    ),
    "torch": Python(("cpu",), file="model.pt", dynamic="model.pt", package="torchvision", program="run_torch.py"),
    "burn": Rust(("gpu",), dynamic=None, crate="burn"),
    "wonnx": Rust(("gpu",), file="inferred.onnx", dynamic=None, crate="wonnx"),
    "rten": Rust(("cpu",), crate="rten"),
    "tract": Rust(("cpu",), crate="tract"),
}


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, **options)


def environment(folder):
    """A virtual environment, made where there is none; its interpreter."""
    python = folder / "bin/python"
    if not python.exists():
        run(sys.executable, "-m", "venv", folder)
    return python


def pip(python, *packages):
    run(python, "-m", "pip", "install", "--quiet", *packages, stdout=sys.stderr)


def driver(folder):
    """The environment in which Vulkan is the software driver of the Mesa in `folder`; fetched from Debian's backports where absent.

    ONNX Runtime's WebGPU provider refuses the Mesa of Debian 12. Unpacked beside the system's, nothing else changes."""
    if not (folder / "usr").exists():
        fetch(folder)
    [library] = folder.glob("usr/lib/*/libvulkan_lvp.so")
    icd = folder / "lvp_icd.json"
    icd.write_text(json.dumps({"file_format_version": "1.0.0", "ICD": {"api_version": "1.4.305", "library_path": str(library)}}))
    return {"VK_DRIVER_FILES": str(icd), "VK_ICD_FILENAMES": str(icd), "LD_LIBRARY_PATH": str(library.parent)}


def fetch(folder):
    """Unpacks Mesa's Vulkan drivers and their libdrm; apt's own lists stay as they are."""
    state = folder / "apt"
    (state / "lists/partial").mkdir(parents=True, exist_ok=True)
    (state / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    (state / "sources").write_text("deb http://deb.debian.org/debian bookworm-backports main\n")
    given = {"Etc::SourceList": "sources", "Etc::SourceParts": "none", "State::Lists": "lists", "Cache": "cache"}
    apt = ["apt-get", *(f"-oDir::{key}={state / value}" for key, value in given.items())]
    run(*apt, "update", stdout=sys.stderr)
    run(*apt, "download", *(f"{name}/bookworm-backports" for name in MESA), stdout=sys.stderr, cwd=state)
    for package in state.glob("*.deb"):
        run("dpkg", "-x", package, folder)


def models(names):
    python = environment(TARGET / "venv")
    if any(not (MODELS / name / "model.ncnn.bin").exists() for name in names):
        pip(python, "torch", "torchvision", "onnx", "pnnx")
        run(python, HERE / "models.py", MODELS, *names, stdout=sys.stderr)


def versions(peers):
    """What was compared, by name: versions of packages, the commit of macula."""
    commit = run("git", "-C", ROOT, "describe", "--always", "--dirty", capture_output=True, text=True).stdout.strip()
    found = {}
    for name in peers:
        match PEERS[name]:
            case Rust(crate="macula"):
                found[name] = commit
            case Rust(crate=crate):
                lock = HERE / crate / "Cargo.lock"
                locked = tomllib.loads((lock if lock.exists() else HERE / "Cargo.lock").read_text())["package"]
                crates = {package["name"]: package["version"] for package in locked}
                found[name] = crates.get(crate) or crates[f"{crate}-onnx"]
            case Python(environment=folder, package=package):
                code = f"import importlib.metadata as m; print(m.version({package!r}))"
                found[name] = run(folder / "bin/python", "-c", code, capture_output=True, text=True).stdout.strip()
    return found
