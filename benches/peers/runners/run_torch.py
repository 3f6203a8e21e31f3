"""PyTorch, eager: the network that the ONNX file was exported from. TF32 is off, as everything here is f32."""

import torch
from protocol import Job

job = Job()
torch.set_num_threads(job.threads)
device = torch.device("cuda" if job.device == "gpu" else "cpu")
network = torch.load(job.model, weights_only=False).eval().to(device)


@torch.inference_mode()
def run():
    return network(torch.from_numpy(job.image).to(device)).cpu().numpy()


job.serve(torch.cuda.get_device_name() if job.device == "gpu" else "CPU", run)
