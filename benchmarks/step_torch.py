"""The other side of `train_step.py`: a plain PyTorch loop with the same network, batches, losses and mean teacher.

    python benchmarks/step_torch.py sed|asc|joint STEPS THREADS contiguous|channels_last

prints {"input", "forward", "teacher", "rest", "step"} as `step_keras.py` does. It needs PyTorch and NumPy only.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from step_data import KINDS, KINDS_OF_STEP, SCENE_BATCH, event_clips, scene_clips
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (8, 8, 24, 32, 56, 56)
POOLS = ((2, 2), (1, 2), (1, 2), (1, 2), (1, 1), (2, 2))


class Encoder(nn.Module):
    """[batch, 1, frames, 128] to [batch, frames / 4, 224]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width, pool in zip(CHANNELS, POOLS, strict=True):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width, 1e-3, 0.1), nn.ReLU()]
            layers += [nn.MaxPool2d(pool)] if pool != (1, 1) else []
            before = width
        self.layers = nn.Sequential(*layers)

    def forward(self, log_mel: Tensor) -> Tensor:
        """The embeddings."""
        return self.layers(log_mel).permute(0, 2, 3, 1).flatten(2)


class SceneHead(nn.Module):
    """Attention over time, then a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.score, self.logits = nn.Linear(224, 16), nn.Linear(16, 1), nn.Linear(224, 10)

    def forward(self, embeddings: Tensor) -> Tensor:
        """The logits."""
        weights = torch.softmax(self.score(torch.tanh(self.hidden(embeddings))), dim=1)
        return self.logits((weights * embeddings).sum(1))


class EventHead(nn.Module):
    """Two bidirectional GRU layers, then frame and clip probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(224, 128, 2, batch_first=True, bidirectional=True)
        self.strong, self.attention = nn.Linear(256, 10), nn.Linear(256, 10)

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Strong and weak probabilities."""
        states, _ = self.gru(embeddings)
        strong, attention = torch.sigmoid(self.strong(states)), torch.softmax(self.attention(states), -1)
        return strong, (strong * attention).sum(1) / attention.sum(1)


class Trainer:
    """The network, its teacher and its optimiser."""

    def __init__(self, kind: str, memory_format: torch.memory_format) -> None:
        torch.manual_seed(0)
        self.tasks, self.format = KINDS_OF_STEP[kind], memory_format
        parts: dict[str, nn.Module] = {"encoder": Encoder().to(memory_format=memory_format)}
        parts |= {task: SceneHead() if task == "scenes" else EventHead() for task in self.tasks}
        self.student = nn.ModuleDict(parts)
        self.teacher = None
        if "events" in self.tasks:
            self.teacher = copy.deepcopy(nn.ModuleDict({name: parts[name] for name in ("encoder", "events")})).eval()
        self.optimizer = torch.optim.AdamW(self.student.parameters(), 1e-3, weight_decay=0.01)
        self.scenes = scene_clips() if "scenes" in self.tasks else {}
        self.events = event_clips() if "events" in self.tasks else {}
        self.rng = np.random.default_rng(0)

    def batch(self, task: str) -> dict[str, Tensor]:
        """Drawn clips, normalised, with their labels."""
        clips = self.scenes if task == "scenes" else self.events
        count = SCENE_BATCH if task == "scenes" else sum(KINDS.values())
        index = self.rng.permutation(len(clips["log_mel"]))[:count]
        log_mel = torch.from_numpy(clips["log_mel"][index].astype(np.float32))[:, None]
        found = {"log_mel": log_mel.contiguous(memory_format=self.format)}
        if task == "scenes":
            return {**found, "scene": torch.from_numpy(clips["scene"][index])}
        strong = np.zeros((count, 250, 10), np.float32)
        for row, i in enumerate(index):
            which, onset, offset = clips["events"][i]
            strong[row, round(onset * 25) : round(offset * 25), which] = 1.0
        return {**found, "strong": torch.from_numpy(strong), "weak": torch.from_numpy(strong.max(1))}

    def step(self) -> dict[str, float]:
        """One step; the seconds of its parts."""
        marks = [time.perf_counter()]
        batches = {task: self.batch(task) for task in self.tasks}
        marks.append(time.perf_counter())
        taught = None
        if self.teacher is not None:
            with torch.no_grad():
                taught = self.teacher["events"](self.teacher["encoder"](batches["events"]["log_mel"]))
        marks.append(time.perf_counter())
        losses = [self.loss(task, batch, taught) for task, batch in batches.items()]
        loss = sum(losses) / len(losses)
        marks.append(time.perf_counter())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        marks.append(time.perf_counter())
        if self.teacher is not None:
            self.follow()
        marks.append(time.perf_counter())
        took, embedded, forward, rest, follow = (b - a for a, b in pairwise(marks))
        step = marks[-1] - marks[1]
        return {"input": took, "forward": forward, "teacher": embedded + follow, "rest": rest, "step": step}

    def loss(self, task: str, batch: dict[str, Tensor], taught: Any) -> Tensor:
        """The task's loss, with the consistency of the mean teacher."""
        output = self.student[task](self.student["encoder"](_masked(batch["log_mel"])))
        if task == "scenes":
            return functional.cross_entropy(output, batch["scene"])
        strong, weak = output
        known, more = KINDS["strong"], KINDS["strong"] + KINDS["weak"]
        labelled = functional.binary_cross_entropy(strong[:known], batch["strong"][:known])
        labelled = labelled + functional.binary_cross_entropy(weak[known:more], batch["weak"][known:more])
        return labelled + 2.0 * sum(functional.mse_loss(a, b) for a, b in zip(output, taught, strict=True))

    def follow(self) -> None:
        """The teacher's weights and statistics move towards the student's."""
        with torch.no_grad():
            for name, part in self.teacher.items():
                theirs = self.student[name].state_dict()
                pairs = [(mine, theirs[key]) for key, mine in part.state_dict().items() if mine.is_floating_point()]
                torch._foreach_lerp_([mine for mine, _ in pairs], [other for _, other in pairs], 0.001)


def _masked(log_mel: Tensor) -> Tensor:
    """A stripe of mel bands, and one of time in every second, set to zero in each clip."""
    batch, _, frames, bands = log_mel.shape
    mel, time_ = torch.arange(bands), torch.arange(100)
    start = torch.randint(0, bands - 19 + 1, (batch, 1))
    kept_mel = ~((mel >= start) & (mel < start + 19))
    start = torch.randint(0, 100 - 15 + 1, (batch, frames // 100, 1))
    kept_time = ~((time_ >= start) & (time_ < start + 15)).reshape(batch, frames)
    return log_mel * kept_time[:, None, :, None] * kept_mel[:, None, None, :]


def main() -> None:
    """The command."""
    kind, steps, threads, layout = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(threads)
    trainer = Trainer(kind, torch.channels_last if layout == "channels_last" else torch.contiguous_format)
    trainer.step()
    found = [trainer.step() for _ in range(steps)]
    print(json.dumps({name: [each[name] for each in found] for name in found[0]}))


if __name__ == "__main__":
    main()
