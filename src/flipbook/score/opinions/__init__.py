"""What do other models think of the answers?

    Predictions, a text model or a model of sentences  ->  Predictions with one more measure each

Both are optional, and never decide a headline. What they are is told with every result.
"""
