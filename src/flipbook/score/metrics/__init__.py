"""How near is a text to a right one?

answer, references  ->  a number of each question, or a Measure of all of them
"""
