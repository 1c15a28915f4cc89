"""How good is an answer to a question of this kind?

    AskedQuestion, Answer  ->  Prediction: its headline value, and all measures of it alone
    Predictions            ->  Measures of all of them

Each kind of question has a module; `table.KINDS` joins them. To add one: its name in
`flipbook.data.extras.KINDS`, a module here, a line in the table.
"""
