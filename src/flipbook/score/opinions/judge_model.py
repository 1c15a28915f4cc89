"""Does an answer mean the same as a right one, in the opinion of a text model?

    question, right answers, answer  ->  PROMPT  ->  is "yes" likelier than "no"?

Nothing is drawn: the likelihoods of two words are compared, one prompt at a time, so a verdict
depends on its own prompt alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from flipbook.errors import CheckpointError, RecordError
from flipbook.model.folders import (
    find_folder,
    find_weight_files,
    is_adapter,
    plain_name,
    source_of,
)
from flipbook.score.opinions.facts import folder_sha256

PROMPT = """Somebody watched a video and was asked about it.
Question: {question}
Right answer: {references}
Given answer: {answer}
Does the given answer mean the same as the right answer? Say only yes or no."""
YES, NO = ("yes", "Yes"), ("no", "No")  # the likelihoods of both forms are summed
_WITHOUT_TEMPLATE = "\nAnswer:"  # after the prompt, for a model that knows no chats


@dataclass(frozen=True)
class JudgeFacts:
    """Which model judged, and how it was asked.

    Attributes:
        name: hub id, or name of the folder.
        sha256: see `folder_sha256`.
        prompt: with {question}, {references} and {answer} in it.
    """

    name: str
    sha256: str
    prompt: str


class JudgeModel:
    """A text model that says whether an answer is right.

    Args:
        name_or_path: folder or hub id of a whole model of transformers, in safetensors.
        device: where it computes.

    Raises:
        CheckpointError: there is no such model, it is none of texts, or weights are missing.
    """

    def __init__(self, name_or_path: str | Path, *, device: str | torch.device = "cpu") -> None:
        folder = check_judge(name_or_path)
        self._model, self._tokenizer = _load(folder)
        self._model.to(device).eval()
        self._device = device
        name = plain_name(source_of(name_or_path, folder))
        self.facts = JudgeFacts(name, folder_sha256(folder), PROMPT)

    def means_the_same(
        self, answer: str, references: tuple[str, ...], *, question: str, record_id: str
    ) -> bool:
        """Return whether an answer means the same as one of the right ones.

        An answer without words does not, whatever the model thinks.

        Raises:
            CheckpointError: a likelihood is not a number.
            RecordError: the prompt is longer than the model may read.
        """
        if not answer.strip():
            return False
        prompt = self._prompt_ids(answer, references, question)
        longest = getattr(self._model.config, "max_position_embeddings", None)
        if longest is not None and len(prompt) + 1 > longest:
            raise RecordError(
                record_id,
                f"the judge model {self.facts.name} reads at most {longest} tokens, and its prompt "
                f"about this answer has {len(prompt)}; choose a judge that reads more",
            )
        margin = self._margin(prompt)
        if math.isnan(margin):
            raise CheckpointError(
                f"{self.facts.name}: the judge model computes likelihoods that are not numbers. "
                "Download it again, or choose another one."
            )
        return margin > 0

    def _prompt_ids(self, answer: str, references: tuple[str, ...], question: str) -> list[int]:
        said = [self._without_markers(text) for text in (question, answer, *references)]
        text = PROMPT.format(
            question=said[0],
            answer=f'"{said[1]}"',
            references=" or ".join(f'"{reference}"' for reference in said[2:]),
        )
        if self._tokenizer.chat_template is None:
            ids: list[int] = self._tokenizer(text + _WITHOUT_TEMPLATE)["input_ids"]
            return ids
        chat = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            add_generation_prompt=True,
            tokenize=False,
            enable_thinking=False,  # read by templates of models that would think aloud first
        )
        chat_ids: list[int] = self._tokenizer(chat, add_special_tokens=False)["input_ids"]
        return chat_ids

    def _without_markers(self, text: str) -> str:
        """Return a text in which nothing is read as the end of a turn."""
        for marker in sorted(self._tokenizer.get_added_vocab(), key=len, reverse=True):
            if marker.strip():  # some vocabularies hold runs of spaces beside their marks
                text = text.replace(marker, f"{marker[:1]} {marker[1:]}")
        return text

    def _margin(self, prompt: list[int]) -> float:
        """Return by how much "yes" is likelier than "no", as a difference of logarithms."""
        lead = "" if self._tokenizer.chat_template is not None else " "
        ids_of = {
            word: tuple(self._tokenizer(lead + word, add_special_tokens=False)["input_ids"])
            for word in (*YES, *NO)
        }
        # Words of one token each, which is usual, are all read off one pass of the model.
        after = {ids[:-1]: self._after(prompt, ids[:-1]) for ids in ids_of.values()}

        def likelihood(words: tuple[str, ...]) -> torch.Tensor:
            chains = [ids_of[word] for word in words]
            values = [after[ids[:-1]][range(len(ids)), ids].sum() for ids in chains]
            return torch.stack(values).logsumexp(dim=0)

        return float(likelihood(YES) - likelihood(NO))

    def _after(self, prompt: list[int], ids: tuple[int, ...]) -> torch.Tensor:
        """Return log-probabilities (n + 1, V) of what follows a prompt and each of n more ids."""
        whole = torch.tensor([[*prompt, *ids]], device=self._device)
        with torch.inference_mode():
            logits: torch.Tensor = self._model(whole).logits[0, len(prompt) - 1 :]
        return logits.float().log_softmax(dim=-1)


def check_judge(name_or_path: str | Path) -> Path:
    """Return the folder of a judge, after reading all of it but its weights.

    Raises:
        CheckpointError: there is no such model, it is none of texts, or it has no weights.
    """
    folder = find_folder(name_or_path)
    if is_adapter(folder):
        raise CheckpointError(
            f"{folder}: holds an adapter, and a judge must be a whole model. Merge the adapter "
            "into its base, and give the folder of the result."
        )
    of_text: Any = AutoModelForCausalLM
    with _told_of(folder):
        AutoTokenizer.from_pretrained(folder, local_files_only=True)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with torch.device("meta"):
            of_text.from_config(config)
    if find_weight_files(folder)[0].suffix != ".safetensors":
        raise CheckpointError(
            f"{folder}: holds no weights in safetensors, and no others are read. Convert them, or "
            "choose another judge."
        )
    return folder


@contextmanager
def _told_of(folder: Path) -> Iterator[None]:
    """Tell what transformers could not read as a fault of the folder."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{folder}: no text model can be read from here ({reason}). Give the folder or hub id "
            "of a model that AutoModelForCausalLM of transformers reads, in safetensors."
        ) from error


def _load(folder: Path) -> tuple[Any, Any]:
    of_text: Any = AutoModelForCausalLM
    with _told_of(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, report = of_text.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype="auto",
            output_loading_info=True,
        )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise CheckpointError(
            f"{folder}: {len(missing)} weights are missing, such as {missing[0]}. Copy or download "
            "the model again."
        )
    return model, tokenizer
