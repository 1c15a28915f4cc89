"""How are files read where a crash or a hang costs one worker and one named record?"""
