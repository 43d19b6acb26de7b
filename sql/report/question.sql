-- Every question of every source with its options.
WITH options AS (
    SELECT question_id, list(option ORDER BY option_index) AS options
    FROM question.option
    GROUP BY question_id
)
SELECT source, question_id, source_question, survey, language, text, topic, topic_method, duplicate_of, options
FROM question.question
JOIN options USING (question_id)
ORDER BY source, text, question_id;
