"""What do the questions of the temporal suite need, and does a model have it?"""
