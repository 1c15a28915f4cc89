"""What does an answer cost, and what would other frames cost and score?

cost.json, sweep.json  ->  tables, and a drawing of score over latency
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flipbook.evaluate.page.figures import Figure
from flipbook.evaluate.page.numbers import (
    NOTHING,
    in_bytes,
    interval,
    number,
    quantity,
)
from flipbook.evaluate.page.spots import Spot, spot_chart
from flipbook.evaluate.page.tables import Table

_COSTS = {
    "visual_tokens": "visual tokens",
    "prompt_tokens": "tokens of the prompt, visual ones included",
    "encode_ms": "encoding the frames, ms",
    "prefill_ms": "reading the prompt to the first word, ms",
    "ms_per_token": "each further token, ms",
}


def cost_table(cost: Mapping[str, Any] | None) -> Table | None:
    """Return what an answer costs; None where that was not measured."""
    if not cost:
        return None
    rows = [
        (told, *(quantity(cost[name][part]) for part in ("median", "low", "high")))
        for name, told in _COSTS.items()
        if name in cost
    ]
    if "peak_memory_bytes" in cost:
        rows.append(("most memory", in_bytes(cost["peak_memory_bytes"]), NOTHING, NOTHING))
    how = f"One question at a time on {cost['device']} in {cost['dtype']}, {cost['num_questions']} "
    how += f"questions, {cost['frames']} frames of {cost['frame_size']} px. "
    memory = f" Memory: {cost['peak_memory_is']}." if "peak_memory_is" in cost else ""
    return Table(
        "Cost of an answer",
        ("what", "median", "10th percentile", "90th percentile"),
        tuple(rows),
        f"{how}Decoding of the video is not counted.{memory}",
    )


def sweep_table(sweep: Mapping[str, Any] | None) -> Table | None:
    """Return what other numbers and sides of frames cost and score; None without a sweep."""
    if not sweep or not sweep["points"]:
        return None
    return Table(
        "Frames and their sides",
        ("frames", "visual tokens", "latency, ms", "score", "remarks"),
        tuple(
            (
                _name(point),
                quantity(point["visual_tokens"]),
                quantity(point["latency_ms"]),
                f"{number(point['score'])} {interval(point['low'], point['high'])}",
                _remark(point, sweep),
            )
            for point in sweep["points"]
        )
        + tuple(
            (_name(point), NOTHING, NOTHING, NOTHING, f"refused: {point['reason']}")
            for point in sweep.get("refused", ())
        ),
        f"{sweep['num_questions']:,} questions{_where(sweep)}. The pick: "
        f"{sweep['rule'].rstrip('.')}.",
        text_columns=(0, 4),
    )


def sweep_figure(sweep: Mapping[str, Any] | None) -> Figure | None:
    """Return score over latency, with the Pareto front and the pick; None without a sweep."""
    if not sweep or not sweep["points"]:
        return None
    spots = [
        Spot(
            _name(point),
            point["latency_ms"],
            point["score"],
            point["low"],
            point["high"],
            is_on_front=point["on_front"],
            is_picked=point["picked"],
            is_trained=_is_trained(point, sweep),
        )
        for point in sweep["points"]
    ]
    front = ", ".join(spot.name for spot in spots if spot.is_on_front)
    picked = ", ".join(spot.name for spot in spots if spot.is_picked) or "none"
    drawing = spot_chart(
        spots,
        title="Score over latency",
        description=f"On the Pareto front: {front}. Picked: {picked}.",
    )
    legend = (
        ("dot main", "picked"),
        ("dot front-spot", "on the Pareto front: nothing faster scores as much"),
        ("dot other", "others"),
    )
    return Figure("Score over latency", drawing, legend)


def _name(point: Mapping[str, Any]) -> str:
    return f"{point['frames']}\u00a0\u00d7\u00a0{point['frame_size']}\u00a0px"


def _where(sweep: Mapping[str, Any]) -> str:
    return f", on {sweep['device']} in {sweep['dtype']}" if "device" in sweep else ""


def _is_trained(point: Mapping[str, Any], sweep: Mapping[str, Any]) -> bool:
    return all(point[name] == sweep["trained_at"][name] for name in ("frames", "frame_size"))


def _remark(point: Mapping[str, Any], sweep: Mapping[str, Any]) -> str:
    told = ["picked"] if point["picked"] else []
    told += ["on the front"] if point["on_front"] else []
    told += ["trained so"] if _is_trained(point, sweep) else []
    return ", ".join(told)
