"""How is an exported folder used where it is going?

    home, name of the folder  ->  blocks of code for its card, and three lines for the screen

To add a home: its blocks in `USES`, its lines in `LINES`.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

ADAPTER = "adapter"  # the home `hf` where only a LoRA adapter goes there


@dataclass(frozen=True)
class Use:
    """One way to use a folder: what it does, and the code in a language."""

    about: str
    language: str
    code: str


_ASK = """\
inputs = processor.apply_chat_template(
    messages, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
)
words = model.generate(**inputs, max_new_tokens=64)[0, inputs["input_ids"].shape[1] :]
print(processor.decode(words, skip_special_tokens=True))"""

_PICTURES = (
    """\
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("{name}")
processor = AutoProcessor.from_pretrained("{name}")
picture = {{"type": "image", "image": Image.open("picture.png")}}
question = {{"type": "text", "text": "What is this?"}}
messages = [{{"role": "user", "content": [picture, question]}}]
"""
    + _ASK
)

_CLIPS = (
    """\
from flipbook import FlipbookProcessor
from transformers import AutoModelForImageTextToText

model = AutoModelForImageTextToText.from_pretrained("{name}")
processor = FlipbookProcessor.from_pretrained("{name}")
clip = {{"type": "video", "path": "clip.mp4"}}
question = {{"type": "text", "text": "What happens?"}}
messages = [{{"role": "user", "content": [clip, question]}}]
"""
    + _ASK
)

_CHAT = Use(
    "Clips, from the command line (`pip install flipbook-vlm`):",
    "bash",
    'flipbook chat --model {word} --video clip.mp4 "What happens?"',
)

_ADAPTER_CODE = """\
from flipbook import load_checkpoint

checkpoint = load_checkpoint("{name}", base="BASE")  # the base is proven to be the right one"""

_PEFT_CODE = """\
from peft import PeftModel
from transformers import AutoModelForImageTextToText

base = AutoModelForImageTextToText.from_pretrained("BASE")
model = PeftModel.from_pretrained(base, "{name}")"""

_ONNX_CODE = """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{name}/vision.onnx")
frames = np.zeros((4, 3, {side}, {side}), dtype=np.float32)  # RGB in [0, 1]
(features,) = session.run(None, {{session.get_inputs()[0].name: frames}})
print(features.shape)  # (frames, tokens of a frame, width of the language model)"""

_COREML_CODE = """\
import coremltools

model = coremltools.models.MLModel("{name}/fastvithd.mlpackage")  # predicts on macOS only
print(model.get_spec().description)"""

USES = {
    "hf": (
        Use("Pictures, with plain `transformers`:", "python", _PICTURES),
        Use("Clips, with flipbook installed:", "python", _CLIPS),
        _CHAT,
    ),
    ADAPTER: (
        Use("With flipbook, on a base in either layout:", "python", _ADAPTER_CODE),
        Use("With plain PEFT, on a base in Hugging Face's layout:", "python", _PEFT_CODE),
    ),
    "apple": (
        Use(
            "Pictures, with Apple's code (github.com/apple/ml-fastvlm):",
            "bash",
            'python predict.py --model-path {word} --image-file picture.png --prompt "What is it?"',
        ),
        _CHAT,
    ),
    "mlx": (
        Use(
            "Clips and pictures, with mlx-vlm (`pip install flipbook-vlm[mlx]`):",
            "python",
            """\
from flipbook.data.turns import Media
from flipbook.export.mlx_chat import answer_mlx, load_mlx

clip = Media("video", "clip.mp4")
print(answer_mlx(load_mlx("{name}"), media=[clip], question="What happens?"))""",
        ),
    ),
    "onnx": (Use("Features of frames, with onnxruntime:", "python", _ONNX_CODE),),
    "coreml": (Use("Features of a frame, in an app or from Python:", "python", _COREML_CODE),),
}

LINES = {
    "hf": (
        'flipbook chat --model {word} --video clip.mp4 "What happens?"',
        "transformers: AutoModelForImageTextToText and AutoProcessor load it, for pictures.",
        "With flipbook's FlipbookProcessor, clips go through apply_chat_template and pipelines.",
    ),
    ADAPTER: (
        "flipbook: load_checkpoint({name!r}, base=BASE), where BASE is what it was trained on.",
        "PEFT: PeftModel.from_pretrained(base, {name!r}), on a base in Hugging Face's layout.",
        "A whole model instead: flipbook export --merge_lora.",
    ),
    "apple": (
        'flipbook chat --model {word} --video clip.mp4 "What happens?"',
        "Apple's code (github.com/apple/ml-fastvlm): predict.py --model-path {word}",
        "Keep `llava` in the folder's name: Apple's loader goes by it.",
    ),
    "mlx": (
        "Clips and pictures: flipbook.export.mlx_chat, which reads it with mlx-vlm.",
        "One picture: python -m mlx_vlm.generate --model {word} --image picture.png",
        "mlx-vlm mixes up several pictures in one prompt; flipbook.export.mlx_chat does not.",
    ),
    "onnx": (
        "vision.onnx takes frames (F, 3, S, S) in [0, 1] and gives their features.",
        "Its metadata names side, aspect, sampler and tokens of a frame.",
        "The language model is not in it: export that with --layout hf.",
    ),
    "coreml": (
        "fastvithd.mlpackage takes one frame (1, 3, S, S) in [0, 1] and gives its features.",
        "It is run on macOS and iOS; Linux only writes it.",
        "The language model is not in it: export that with --layout apple --for_swift.",
    ),
}


def uses_of(home: str, *, name: str, side: int) -> tuple[Use, ...]:
    """Return the ways to use a folder, with its name and the side of a frame put in."""
    inside = json.dumps(name, ensure_ascii=False)[1:-1]  # between the quotes of Python
    return tuple(
        Use(
            use.about, use.language, use.code.format(name=inside, word=shlex.quote(name), side=side)
        )
        for use in USES[home]
    )


def lines_of(home: str, *, name: str) -> tuple[str, ...]:
    """Return the three lines that are printed after an export."""
    return tuple(line.format(name=name, word=shlex.quote(name)) for line in LINES[home])
