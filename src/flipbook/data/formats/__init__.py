"""Any format that people keep clips and questions in becomes rows of our own (see `own.py`)."""
