"""What do all commands that ask a model questions about clips let a person say?

parser  ->  the same words for the model, the questions, and how these are asked
"""

from __future__ import annotations

import argparse

from flipbook.evaluate.loading import DTYPES


def add_question_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which model is asked, and what."""
    parser.add_argument("--model", required=True, help="A run folder, a model, or 'tiny'.")
    parser.add_argument(
        "--data_path",
        required=True,
        nargs="+",
        help="Files of records, tables, folders by class, or a YAML mixture.",
    )
    parser.add_argument("--image_folder", help="Where media are; the records' own folder if none.")
    parser.add_argument(
        "--max_bad_fraction",
        type=float,
        default=0.0,
        help="Share of records that may be unusable before the command is refused.",
    )


def add_answer_arguments(parser: argparse.ArgumentParser, *, max_new_tokens: int = 64) -> None:
    """Declare how a model answers."""
    parser.add_argument("--batch_size", type=int, default=16, help="Prompts answered together.")
    parser.add_argument(
        "--max_new_tokens", type=int, default=max_new_tokens, help="Longest answer in tokens."
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="Precision of the weights."
    )
