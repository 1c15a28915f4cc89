"""Files of any format become files of records."""
