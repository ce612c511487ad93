"""LoRA training steps with PEFT, as bench/against-peft.ts asks for them: one JSON request on the command line, one JSON line out."""

import json
import math
import sys
import time

begun = time.perf_counter()
import torch  # noqa: E402
from peft import PeftModel  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

request = json.loads(sys.argv[1])
B, T = request["batchSize"], request["sequenceLength"]
torch.set_num_threads(request["threads"])
torch.manual_seed(0)

model = PeftModel.from_pretrained(
    AutoModelForCausalLM.from_pretrained(request["model"], dtype=torch.float32), request["adapter"], is_trainable=True
)
model.config.use_cache = False
model.train()
if request["checkpointing"]:
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimiser = torch.optim.AdamW(trained, lr=1e-4)
stream = torch.tensor(json.load(open(request["tokens"])))
rows = stream[: B * (T + 1)].reshape(B, T + 1)


def step():
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=request["autocast"]):
        loss = model(input_ids=rows[:, :-1], labels=rows[:, :-1]).loss
    loss.backward()
    return loss.item()


if "gradients" in request:
    # Every token has a next one here, as in the batch of the other side.
    logits = model(input_ids=rows[:, :-1]).logits
    torch.nn.functional.cross_entropy(logits.reshape(B * T, -1), rows[:, 1:].reshape(-1)).backward()
    named = {name.replace(".default", ""): p.grad.contiguous() for name, p in model.named_parameters() if p.requires_grad}
    save_file(named, request["gradients"])
    sys.exit()

milliseconds, first = [], math.nan
for index in range(request["warmup"] + request["steps"]):
    started = time.perf_counter()
    loss = step()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimiser.step()
    optimiser.zero_grad()
    ended = time.perf_counter()
    if index == 0:
        first = ended - begun
    if index >= request["warmup"]:
        milliseconds.append(1000 * (ended - started))
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
print(json.dumps({"stepMilliseconds": milliseconds, "peakMemoryBytes": peak, "firstStepSeconds": first, "loss": loss}))
