"""ncnn, on the files that pnnx made of the ONNX file. f32: storage and arithmetic in f16 and bf16 are off."""

import ncnn
import numpy
from protocol import Job

job = Job()
if job.shape[0] != 1:
    raise SystemExit("ncnn takes one image a run")
net = ncnn.Net()
net.opt.num_threads = job.threads
net.opt.use_vulkan_compute = job.device == "gpu"
for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
    setattr(net.opt, f"use_{option}", False)
if net.load_param(f"{job.model}.ncnn.param") or net.load_model(f"{job.model}.ncnn.bin"):
    raise SystemExit(f"ncnn cannot load {job.model}.ncnn.param")
name = ncnn.get_gpu_info(ncnn.get_default_gpu_index()).device_name() if job.device == "gpu" else "CPU"


def run():
    extractor = net.create_extractor()
    extractor.input(net.input_names()[0], ncnn.Mat(job.image[0]))
    status, output = extractor.extract(net.output_names()[0])
    if status:
        raise SystemExit(f"ncnn gave up with status {status}")
    return numpy.array(output)


job.serve(name, run)
