"""Survey questions in other languages: translators, the termbase, quality checks, review, localised prompts.

Belongs here: everything between ``question.question`` in its source language and ``translation.question``. Does not
belong here: the prompt's layout (``elicitation``), storing (``warehouse``) and Dagster (``assets``).
"""
