"""Clips and pictures made on the spot, with questions whose answers are known."""
