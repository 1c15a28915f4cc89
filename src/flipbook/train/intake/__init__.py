"""Which data sets does a run have, and what must be made of what was named?"""
