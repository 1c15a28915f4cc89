"""How does a tuned model get to where it is used?

flipbook export --model RUN --layout hf|apple|mlx|onnx|coreml --out DIR  ->  the folder, and how
                                                                          to use it there
"""

from __future__ import annotations

import argparse

from flipbook.apps.info import size_in_words
from flipbook.errors import ArgumentError
from flipbook.export.homes import DTYPES, HOMES, ExportOptions
from flipbook.export.push import check_hub_target, push_folder
from flipbook.export.usage import lines_of
from flipbook.export.write import export_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook export`."""
    homes = "; ".join(f"{name}: {home.about}" for name, home in HOMES.items())
    parser.add_argument(
        "--model", required=True, help="A run folder, a model, an adapter, a hub id, or 'tiny'."
    )
    parser.add_argument("--layout", required=True, metavar="|".join(HOMES), help=f"{homes}.")
    parser.add_argument("--out", required=True, help="The folder to make; it must not exist.")
    parser.add_argument(
        "--merge_lora",
        action="store_true",
        help="Write a whole model; without it, a run with LoRA gives its adapter alone.",
    )
    parser.add_argument("--base", help="The model under the adapter, where it has moved.")
    parser.add_argument("--dtype", choices=DTYPES, help="Of the weights; as stored if none.")
    parser.add_argument("--max_shard_size", help="Of one weight file; 5GB if none.")
    parser.add_argument(
        "--for_swift",
        action="store_true",
        default=None,
        help="Name the id of <image>, which Apple's app wants and its Python code does not.",
    )
    parser.add_argument("--push_to_hub", metavar="OWNER/NAME", help="Upload the folder, too.")
    parser.add_argument("--private", action="store_true", help="Hide it from others on the hub.")


def run(args: argparse.Namespace) -> None:
    """Write the folder, tell what is in it and how it is used, and upload it where asked.

    Raises:
        ArgumentError: see `flipbook.export.write.export_model`; or the hub refuses.
        CheckpointError: the model cannot be loaded, or has no form in this layout.
    """
    if args.private and args.push_to_hub is None:
        raise ArgumentError("--private is about the hub: add --push_to_hub, or leave it out.")
    if args.push_to_hub is not None:
        check_hub_target(args.push_to_hub)
    done = export_model(
        args.model,
        layout=args.layout,
        out=args.out,
        merge_lora=args.merge_lora,
        base=args.base,
        options=ExportOptions(
            dtype=args.dtype, max_shard_size=args.max_shard_size, for_swift=args.for_swift
        ),
        card_name=args.push_to_hub,
    )
    print(f"{args.out}: {size_in_words(sum(done.file_bytes.values()))}")
    for name, num_bytes in done.file_bytes.items():
        print(f"  {name:<42} {size_in_words(num_bytes):>10}")
    print("\nHow to use it:")
    for line in lines_of(done.home, name=args.out):
        print(f"  {line}")
    if args.push_to_hub is not None:
        address = push_folder(done.folder, args.push_to_hub, private=args.private)
        print(f"\nOn the hub: {address}")
