"""A model answers questions, and its answers are judged.

Records -> AskedQuestions -> under each control: Answers -> Predictions -> Scores
"""
