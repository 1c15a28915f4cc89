"""Within which limits do the workers of a loader read?

arguments, data sets  ->  settings of a DataLoader: workers with a time and memory of theirs
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from transformers.trainer_utils import seed_worker

from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.workers.failing import Readings, batch_timeout_s
from flipbook.train.arguments import TrainingArguments
from flipbook.train.signals import begin_worker

COPIES = 3  # of a batch at most, while its clips are put together
BYTES_OF_PIXEL = 3  # its stored features are as large: 3072 floats for 64 x 64 px


def limited_workers(
    args: TrainingArguments,
    datasets: Sequence[LazySupervisedDataset],
    *,
    num_batches: int,
    num_clips: int,
) -> dict[str, Any]:
    """Return the settings of a DataLoader that are about its workers.

    Args:
        datasets: what they read.
        num_batches: of one reading; more workers than that are not begun. Beside the waste of
            such a worker, a loader that is left by an error closes the queue of one that was never
            asked for a batch, and then puts its end there.
        num_clips: of a batch, at most; with their pictures and other clips if they have such.
    """
    num_workers = min(args.dataloader_num_workers, num_batches)
    if num_workers == 0:
        return {"num_workers": 0}
    room_bytes = int(args.media_memory_gb * (1 << 30))
    batch_bytes = num_clips * max(map(_most_bytes, datasets))  # which are no fault of a file
    readings = Readings(
        num_workers,
        timeout_s=args.media_timeout_s,
        room_bytes=room_bytes and room_bytes + COPIES * batch_bytes,
    )
    seed = partial(seed_worker, num_workers=num_workers, rank=args.process_index)
    return {
        "num_workers": num_workers,
        "prefetch_factor": args.dataloader_prefetch_factor,
        "multiprocessing_context": args.dataloader_multiprocessing_context,
        "worker_init_fn": partial(begin_worker, partial(_begin, seed, readings)),
        "timeout": batch_timeout_s(
            num_clips * max(map(_most_files, datasets)), args.media_timeout_s
        ),
    }


def _most_files(dataset: LazySupervisedDataset) -> int:
    """Return how many videos and images a conversation shows, at most."""
    table = dataset.table
    return max(1, int((table.num_videos + table.num_images).max()))


def _most_bytes(dataset: LazySupervisedDataset) -> int:
    """Return how large the frames of a conversation are, at most."""
    table = dataset.table
    num_px = table.num_frames.astype(np.int64) * table.frame_size.astype(np.int64) ** 2
    return int(num_px.max()) * BYTES_OF_PIXEL


def _begin(seed: partial[None], readings: Readings, worker: int) -> None:
    seed(worker)
    readings.begin(worker)
