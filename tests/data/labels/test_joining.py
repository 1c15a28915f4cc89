from __future__ import annotations

import pytest
import torch

from flipbook.data.labels.conversation import IGNORE_INDEX, EncodedConversation
from flipbook.data.labels.joining import join, joined_length, positions, shared_head

IMAGE = 9


def conversation(ids: list[int], num_learned: int = 2) -> EncodedConversation:
    input_ids = torch.tensor(ids)
    labels = input_ids.clone()
    labels[: len(ids) - num_learned] = IGNORE_INDEX
    return EncodedConversation(input_ids, labels, ids.count(IMAGE), 0)


def test_the_beginning_up_to_the_last_frame_stands_once() -> None:
    first = conversation([1, IMAGE, IMAGE, 4, 5, 6])
    second = conversation([1, IMAGE, IMAGE, 7, 8, 3, 2])
    joined = join([first, second], image_token_id=IMAGE)
    assert joined.input_ids.tolist() == [1, IMAGE, IMAGE, 4, 5, 6, 7, 8, 3, 2]
    assert joined.segments == (3, 3, 4)
    n = IGNORE_INDEX
    assert joined.labels.tolist() == [n, n, n, n, 5, 6, n, n, 3, 2]
    assert positions(joined.segments).tolist() == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6]
    assert joined_length([6, 7], head_tokens=3) == len(joined.input_ids)


def test_one_conversation_is_itself() -> None:
    alone = conversation([1, IMAGE, 4, 5, 6])
    joined = join([alone], image_token_id=IMAGE)
    assert joined.input_ids is alone.input_ids
    assert joined.segments == (5,)
    assert positions((5,)).tolist() == [0, 1, 2, 3, 4]


def test_nothing_learned_is_ever_shared() -> None:
    assert shared_head(conversation([1, IMAGE, 4, 5, 6]), image_token_id=IMAGE) == 2
    # A picture behind an answer, an answer right behind the picture, and words alone.
    assert shared_head(conversation([1, 5, IMAGE, 4, 5], num_learned=4), image_token_id=IMAGE) == 0
    assert shared_head(conversation([1, IMAGE, 4, 5], num_learned=2), image_token_id=IMAGE) == 0
    assert shared_head(conversation([1, 2, 4, 5]), image_token_id=IMAGE) == 0


def test_conversations_that_begin_otherwise_are_refused() -> None:
    base = conversation([1, IMAGE, 4, 5, 6])
    for other in ([2, IMAGE, 4, 5, 6], [1, IMAGE, IMAGE, 4, 5, 6], [1, 4, 5, 6]):
        with pytest.raises(ValueError, match="do not begin with the same"):
            join([base, conversation(other)], image_token_id=IMAGE)
    with pytest.raises(ValueError, match="no conversation"):
        join([], image_token_id=IMAGE)
