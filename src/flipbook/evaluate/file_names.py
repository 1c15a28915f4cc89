"""Which files does a report consist of, and which does a run tell of itself in?"""

from __future__ import annotations

PREDICTIONS_FILE = "predictions.jsonl"
SCORES_FILE = "scores.json"
COST_FILE = "cost.json"
SWEEP_FILE = "sweep.json"
GALLERY_FILE = "gallery.json"
PAGE_FILE = "report.html"
TEXT_FILE = "report.md"
LOG_FILE = "log.jsonl"
CONFIG_FILE = "config.yaml"
ENVIRONMENT_FILE = "environment.json"
EVALUATION_FOLDER = "evaluation"  # of a run or model, where `flipbook evaluate` reports on it
