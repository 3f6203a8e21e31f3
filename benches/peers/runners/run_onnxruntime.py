"""ONNX Runtime: the CPU provider, or on a GPU the WebGPU provider of the wheel onnxruntime-webgpu."""

import onnxruntime
from protocol import Job

job = Job()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = job.threads
options.log_severity_level = 3
wanted = "WebGpuExecutionProvider" if job.device == "gpu" else "CPUExecutionProvider"
session = onnxruntime.InferenceSession(job.model, options, providers=[wanted])
if session.get_providers()[0] != wanted:
    # The runtime falls back to the CPU in silence.
    raise SystemExit(f"{wanted} refuses this device")
name = session.get_inputs()[0].name
job.serve(wanted, lambda: session.run(None, {name: job.image})[0])
