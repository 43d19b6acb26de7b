-- One question over the waves of a survey.
SELECT wave, country, round(value, 3) AS similarity
FROM similarity.question_country
JOIN question.question USING (source, question_id)
WHERE condition = 'default' AND metric = 'js_similarity' AND base = 'e'
    AND source_question = 'wvs_justifbribe.f117' AND country IN ('SWE', 'TUR')
ORDER BY country, wave::INTEGER;
