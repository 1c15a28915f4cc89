from __future__ import annotations

import re
from pathlib import Path

import pytest

from flipbook.errors import ArgumentError
from flipbook.train.llava_flags import LLAVA_FLAGS
from flipbook.train.parsing import make_parser, parse_arguments
from flipbook.train.record import write_arguments

DATA = ["--data_path", "rows.json"]


def test_defaults_are_those_of_video_tuning() -> None:
    arguments = parse_arguments(DATA)
    assert arguments.data.num_video_frames == 8
    assert arguments.data.data_path == ["rows.json"]
    assert arguments.model.train_parts == ["projector", "language_model"]
    assert arguments.training.learning_rate == 2e-5
    assert not arguments.training.remove_unused_columns
    assert not arguments.training.load_best_model_at_end


def test_a_flag_beats_the_file_and_the_file_beats_the_default(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "data_path: [a.json, b.json]\nnum_video_frames: 4\nlearning_rate: 1e-4\n"
        "train_parts: [projector]\nlogging_first_step: false\nmax_steps: -1\nsystem_prompt: null\n"
    )
    arguments = parse_arguments([str(config), "--num_video_frames", "16"])
    assert arguments.data.data_path == ["a.json", "b.json"]
    assert arguments.data.num_video_frames == 16
    assert arguments.training.learning_rate == 1e-4
    assert arguments.model.train_parts == ["projector"]
    assert arguments.training.logging_first_step is False
    assert arguments.data.system_prompt is None


def test_lora_has_a_higher_rate_unless_one_is_given() -> None:
    assert parse_arguments([*DATA, "--lora_r", "8"]).training.learning_rate == 2e-4
    words = [*DATA, "--lora_r", "8", "--learning_rate", "1e-5"]
    assert parse_arguments(words).training.learning_rate == 1e-5


def test_validation_data_brings_evaluation_and_the_best_checkpoint() -> None:
    arguments = parse_arguments([*DATA, "--validation_data_path", "v.json"])
    assert arguments.training.eval_strategy.value == "epoch"
    assert arguments.training.load_best_model_at_end
    steps = parse_arguments(
        [*DATA, "--validation_data_path", "v.json", "--eval_strategy", "steps", "--eval_steps", "5"]
    )
    assert not steps.training.load_best_model_at_end  # checkpoints are written at other times


def test_the_seed_of_the_data_follows_that_of_the_run() -> None:
    assert parse_arguments([*DATA, "--seed", "3"]).data.data_seed == 3
    assert parse_arguments([*DATA, "--seed", "3", "--data_seed", "4"]).data.data_seed == 4


def test_a_tower_learns_at_a_tenth_of_the_rate_unless_told() -> None:
    training = parse_arguments([*DATA, "--learning_rate", "1e-3"]).training
    assert training.part_learning_rates["vision_tower"] == pytest.approx(1e-4)
    words = [*DATA, "--vision_tower_learning_rate", "5e-6", "--projector_learning_rate", "2e-3"]
    rates = parse_arguments(words).training.part_learning_rates
    assert rates == {"projector": 2e-3, "vision_tower": 5e-6}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [*DATA, "--num_video_frame", "8"],
            r"Unknown flag --num_video_frame\. Did you mean '--num_v",
        ),
        ([*DATA, "--learning_rate", "fast"], "invalid float value: 'fast'"),
        ([], "--data_path is missing"),
        ([*DATA, "--use_liger_kernel"], "does nothing for a FastVLM"),
        ([*DATA, "--logging_nan_inf_filter", "true"], "not a number as 0"),
        ([*DATA, "--remove_unused_columns", "true"], "empty every batch"),
        ([*DATA, "--max_bad_fraction", "2"], "is 2.0: give a number from 0 and below 1"),
        ([*DATA, "--quantize", "4bit"], "Add --lora_r"),
        ([*DATA, "--quantize", "3bit"], "invalid choice"),
        ([*DATA, "--quantize", "4bit", "--lora_r", "4", "--bf16", "false"], "only under --bf16"),
        ([*DATA, "--frozen_dtype", "bfloat16", "--bf16", "false"], "only under --bf16 true"),
        ([*DATA, "--eval_strategy", "epoch"], "needs --validation_data_path"),
        ([*DATA, "--eval_num_answers", "-1"], "is -1: give a whole number from 0"),
        (["absent.yaml"], r"absent\.yaml: the configuration file cannot be read"),
    ],
)
def test_wrong_words_are_told_apart(words: list[str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        parse_arguments(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_video_frame: 8\n", r"unknown name 'num_video_frame'\. Did you mean"),
        ("just words\n", "expected lines of `name: value`"),
        ("a: [1\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=message) as caught:
        parse_arguments([str(path)])
    assert str(path) in str(caught.value)


def test_the_written_configuration_gives_the_run_again(tmp_path: Path) -> None:
    words = [*DATA, "--lora_r", "4", "--weight_decay", "0.1", "--train_parts", "language_model"]
    arguments = parse_arguments(words)
    again = parse_arguments([str(write_arguments(tmp_path, arguments))])
    assert again.model == arguments.model
    assert again.data == arguments.data
    assert again.training.to_dict() == arguments.training.to_dict()


def test_every_setting_has_help() -> None:
    parser = make_parser()
    helped = {action.dest: action.help for action in parser._actions}
    for kind in parser.dataclass_types[:2]:
        for name, field in kind.__dataclass_fields__.items():
            assert not field.init or helped[name], f"{name} has no help"


@pytest.mark.parametrize("flag", LLAVA_FLAGS)
def test_flags_of_llava_are_refused_with_what_they_are_called_here(flag: str) -> None:
    advice = re.escape(LLAVA_FLAGS[flag])
    with pytest.raises(
        ArgumentError, match=f"Unknown flag --{flag}. It is a flag of LLaVA.*{advice}"
    ):
        parse_arguments(["--data_path", "a.json", f"--{flag}", "True"])
    named = set(re.findall(r"--(\w+)", LLAVA_FLAGS[flag]))
    assert named <= {name[2:] for name in make_parser()._option_string_actions}
