"""Predictions grow with what a step holds, by the coefficients that ship with the package."""

from __future__ import annotations

from dataclasses import replace

from flipbook.train.planning.footprint import Footprint
from flipbook.train.planning.forecast import (
    ELSEWHERE,
    MemoryModel,
    StepShape,
    held_terms,
    load_memory_model,
    passing_terms,
)

FOOTPRINT = Footprint(
    weights=1000.0,
    num_trained=100.0,
    num_trained_tower=0.0,
    token=40.0,
    layer_token=10.0,
    residual_token=4.0,
    copies=7.0,
    visual_token=3.0,
    px=0.0,
    tower_width=16.0,
    tower_itemsize=4.0,
    hidden=8.0,
    head=50.0,
    vocabulary_rows=10.0,
    head_itemsize=4.0,
)
STEP = StepShape(num_tokens=200, num_targets=5, num_frames=3, side_px=128)
NAMES = (
    "libraries weights moments activations head working gradients embeddings tower",
    "kept tower",
    "recomputed tower",
    "left activations",
    "freed activations",
    "layer again",
)
ONES = dict.fromkeys([*NAMES[0].split(), *NAMES[1:]], 1.0)


def model(**changed: float) -> MemoryModel:
    return MemoryModel(ONES | changed, 3, 2, 0.021, 0.05, "cpu")


def test_what_is_held_and_what_passes_add_up() -> None:
    assert held_terms(FOOTPRINT) == {"libraries": 1.0, "weights": 1000.0, "moments": 800.0}
    moments = passing_terms(FOOTPRINT, STEP)
    kept = 200 * 40 + 3 * 4 * 3  # tokens, and visual tokens of three frames
    assert moments["looking back"] == {
        "activations": kept + 7,
        "layer again": 0.0,
        "freed activations": 0.0,
        "head": 5 * 10 * 4 + 50,
        "working": 8 * 200,
        "gradients": 0.0,
        "kept tower": 0.0,
    }
    assert moments["learning"] == {
        "gradients": 400.0,
        "embeddings": 50.0,
        "left activations": kept,
    }
    assert moments["seeing"]["tower"] == 3 * 128 * 128 * 16 * 4
    forecast = model().predict(FOOTPRINT, STEP)
    assert forecast.moment == "seeing"
    assert forecast.peak_bytes == 1801 + 3 * 128 * 128 * 16 * 4


def test_the_largest_moment_decides() -> None:
    at_rest = model(tower=0.0)
    assert at_rest.predict(FOOTPRINT, STEP).moment == "looking back"
    heavy = replace(FOOTPRINT, num_trained=1e6)
    assert at_rest.predict(heavy, STEP).moment == "learning"
    learning_tower = replace(heavy, px=100.0, num_trained_tower=10.0)
    assert at_rest.predict(learning_tower, STEP).moment == "between"


def test_activations_that_are_computed_twice_keep_inputs_and_one_layer() -> None:
    terms = passing_terms(FOOTPRINT, replace(STEP, recomputes=True))["looking back"]
    assert terms["activations"] == 200 * 4 + 3 * 4 * 3 + 7
    assert terms["layer again"] == 200 * 10
    assert terms["freed activations"] == 200 * (40 - 4 - 10)


def test_a_tower_at_rest_sees_a_few_frames_at_a_time() -> None:
    few, many = (
        passing_terms(FOOTPRINT, replace(STEP, num_frames=number, side_px=1024))["seeing"]
        for number in (1, 50)
    )
    assert few == many


def test_processes_keep_gradients_to_exchange() -> None:
    alone, together = (
        passing_terms(FOOTPRINT, replace(STEP, num_processes=number))["learning"]["gradients"]
        for number in (1, 4)
    )
    assert together == 2 * alone == 800


def test_the_head_makes_some_rows_of_scores_at_a_time() -> None:
    wide = replace(FOOTPRINT, vocabulary_rows=150_000.0, head_itemsize=2.0, head=0.0)
    few, many = (
        passing_terms(wide, replace(STEP, num_targets=number))["looking back"]["head"]
        for number in (2, 10**6)
    )
    assert few == 2 * 150_000 * (4 + 2 + 2)
    assert many == (2**24 // 150_000) * 150_000 * 8


def test_elsewhere_shapes_alone_count() -> None:
    fitted = model(libraries=5e9, weights=7.0, tower=0.0)
    step = replace(STEP, device_type="cuda", recomputes=True)
    few = replace(step, num_frames=0)
    terms = held_terms(FOOTPRINT)
    assert fitted.predict(FOOTPRINT, few).held == 0.6e9 + terms["weights"] + terms["moments"]
    assert ELSEWHERE.keys() == ONES.keys()
    assert fitted.told("cuda").endswith("; on CUDA shapes alone count, not yet verified.")


def test_the_model_tells_its_error() -> None:
    assert model().told("cpu") == (
        "The memory model was fitted on 3 measurements on a CPU; held-out error 2.1% mean, 5.0% "
        "at most (2 of other sizes)."
    )


def test_the_model_that_ships_is_good_enough() -> None:
    shipped = load_memory_model()
    assert shipped.coefficients.keys() == ONES.keys()
    assert shipped.num_fitted >= 30
    assert shipped.num_held_out >= 10
    assert 0 < shipped.mean_error <= 0.10
    assert shipped.mean_error <= shipped.max_error
    assert all(value >= 0 for value in shipped.coefficients.values())
    assert {"date", "hardware", "versions", "in_sample_mean_error"} <= shipped.facts.keys()
