"""A fine-tuning session with OpenAI's own SDK: python examples/session.py

It goes where OPENAI_BASE_URL points. Start the fake with `fake-fine-tuning serve` and paste the export lines that it
prints.
"""

import os
import time
from pathlib import Path

from openai import OpenAI

client = OpenAI(base_url=os.environ["OPENAI_BASE_URL"])  # not set: stop here, the real service costs money

path = Path(__file__).with_name("bicycle_workshop.jsonl")
file = client.files.create(file=path, purpose="fine-tune")
job = client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini-2024-07-18", suffix="workshop")
print(job.id, job.status)

status = job.status
while status not in ("succeeded", "failed", "cancelled"):
    job = client.fine_tuning.jobs.retrieve(job.id)
    if job.status == status:
        time.sleep(0.2)
        continue
    status = job.status
    print(job.id, status)

if job.status != "succeeded":
    raise SystemExit(f"{job.error.code}: {job.error.message}" if job.error else job.status)

for point in client.fine_tuning.jobs.checkpoints.list(job.id):
    print(point.step_number, point.metrics.train_loss, point.fine_tuned_model_checkpoint)
print(job.fine_tuned_model)
