"""What is known of each conversation before a run begins?"""
