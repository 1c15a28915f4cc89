"""What did the user ask for about data: what is read, and how does a file become frames?

config.yaml and flags -> DataArguments
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from flipbook.data.splitting.split import check_fractions
from flipbook.train.ranges import check_ranges
from flipbook.video.layouts import DEFAULT_SLOW_FRAMES, FRAMES
from flipbook.video.sampling import DEFAULT_CLIP_SHARE
from flipbook.video.settings import DEFAULT_NUM_CLIPS


@dataclass
class DataArguments:
    """Which records are read, and how a file becomes frames."""

    data_path: list[str] = field(
        default_factory=list,
        metadata={
            "help": "What to train on: files of records, tables, class folders of clips, or a YAML "
            "file of a mixture; docs/datasets.md has every format."
        },
    )
    validation_data_path: str | None = field(
        default=None, metadata={"help": "Records to evaluate on, while training and at its end."}
    )
    image_folder: str | None = field(
        default=None,
        metadata={"help": "Folder of the videos and images; the record file's own when none."},
    )
    format: str | None = field(
        default=None,
        metadata={"help": "Format of --data_path; told by its first rows when none."},
    )
    map: str | None = field(
        default=None,
        metadata={"help": "Columns of a table, for example video=path,question=q,answer=a."},
    )
    prompt: str | None = field(
        default=None,
        metadata={"help": "What is asked of every clip, where the format has no questions."},
    )
    frames_fps: float | None = field(
        default=None,
        metadata={"help": "Pictures a second, where clips are folders of pictures."},
    )
    split_fractions: list[float] = field(
        default_factory=lambda: [0.8, 0.1, 0.1],
        metadata={
            "help": "Shares of train, validation and test, where a folder or table is given "
            "without --validation_data_path."
        },
    )
    image_replay: float | None = field(
        default=None,
        metadata={
            "help": "Share of still images in every epoch, for example 0.2, which keeps the skill "
            "on pictures; as the data have them when none."
        },
    )
    proof_records: int = field(
        default=32,
        metadata={
            "help": "Records whose tokens, labels and features are proven right before the first "
            "step; 0 for none."
        },
    )
    check_media: bool = field(
        default=False,
        metadata={
            "help": "Decode every clip before the first step, as `flipbook data check` does; "
            "always done for a folder or table that is converted on the way."
        },
    )
    num_video_frames: int = field(
        default=8, metadata={"help": "Frames taken from each video, first and last included."}
    )
    frame_sampler: str = field(
        default="uniform",
        metadata={
            "help": "uniform: evenly over the clip. segments: one in each equal segment, jittered "
            "in training. fps: --frames_per_s frames a second. sparse: evenly over one stretch, "
            "drawn in training; answers are averaged over --num_clips stretches."
        },
    )
    frames_per_s: float = field(default=1.0, metadata={"help": "For the sampler fps."})
    min_frames: int = field(default=4, metadata={"help": "Floor of the sampler fps."})
    max_frames: int = field(default=64, metadata={"help": "Ceiling of the sampler fps."})
    frame_snap: float = field(
        default=0.0,
        metadata={
            "help": "Share of the spacing by which an instant may move to a frame that is cheaper "
            "to decode, for example 0.25; 0 is exact."
        },
    )
    clip_share: float = field(
        default=DEFAULT_CLIP_SHARE,
        metadata={"help": "Share of the clip in one stretch of the sampler sparse."},
    )
    num_clips: int = field(
        default=DEFAULT_NUM_CLIPS,
        metadata={
            "help": "Stretches, at equal distances, over which answers are averaged in evaluation, "
            "for the sampler sparse."
        },
    )
    min_frame_change: float = field(
        default=0.0,
        metadata={
            "help": "Grey levels (0 to 255) by which a frame must differ from the one before, for "
            "example 4; of four times as many frames those that change most are taken. 0 takes "
            "frames as they come."
        },
    )
    frame_layout: str = field(
        default=FRAMES,
        metadata={
            "help": "How the frames of a clip lie before the language model. frames: one after the "
            "other. grid: all in one picture. pooled: a quarter of each frame's tokens. "
            "spatio_temporal: a token for each frame, then one for each place. slow_fast: all at "
            "half the side, then --slow_frames whole."
        },
    )
    slow_frames: int = field(
        default=DEFAULT_SLOW_FRAMES,
        metadata={"help": "Frames that are seen whole, for --frame_layout slow_fast."},
    )
    timestamps: bool = field(
        default=False,
        metadata={"help": "Say before each frame of a clip when it is, as in `1.5s: <image>`."},
    )
    augment: bool = field(
        default=False,
        metadata={
            "help": "In training, crop clips a little in time, mirror them where no words speak of "
            "sides, and change their light; what is drawn depends on seed, epoch and record."
        },
    )
    frame_size: int | None = field(
        default=None,
        metadata={
            "help": "Side of a frame in px, a multiple of 64; a frame is (side / 64)^2 tokens. "
            "The checkpoint's own when none."
        },
    )
    image_aspect_ratio: str | None = field(
        default=None,
        metadata={
            "help": "pad (default), crop or stretch to a square. A model that flipbook tuned "
            "keeps its own."
        },
    )
    system_prompt: str | None = field(
        default=None, metadata={"help": "Replaces the chat template's own system prompt."}
    )
    model_max_length: int | None = field(
        default=None,
        metadata={"help": "Longest conversation in tokens; the language model's limit when none."},
    )
    max_bad_fraction: float = field(
        default=0.0,
        metadata={"help": "Share of records that may be rejected before the run is refused."},
    )
    questions_per_pass: int = field(
        default=8,
        metadata={
            "help": "Most questions about one clip that are read behind one copy of its frames; "
            "1 reads each with frames of its own. The loss is the same."
        },
    )
    max_batch_tokens: int | None = field(
        default=None,
        metadata={
            "help": "Tokens of a batch on one process, in place of a number of questions "
            "(--per_device_train_batch_size)."
        },
    )
    frame_features: Literal["live", "store"] = field(
        default="live",
        metadata={
            "help": "store: keep on disk what a frozen vision tower makes of each clip, so that "
            "it is decoded and encoded once. live: do so at every step."
        },
    )
    feature_store: str | None = field(
        default=None,
        metadata={"help": "Folder of --frame_features store; 'features' beside the run when none."},
    )
    feature_store_max_gb: float = field(
        default=0.0,
        metadata={"help": "Most that it may hold; 0 is nine tenths of what is free at the start."},
    )
    feature_views: int = field(
        default=4,
        metadata={
            "help": "Of a clip whose frames are drawn (--frame_sampler segments or sparse), how "
            "many drawings are stored and used in turn."
        },
    )
    data_seed: int = field(default=42, init=False)  # follows TrainingArguments

    def __post_init__(self) -> None:
        check_ranges(self)
        check_fractions(self.split_fractions, flag="split_fractions")
