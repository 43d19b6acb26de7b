-- From a number to the prompt, the answer, the human source and the code version behind it.
SELECT
    value, prompt, letter_mass, model_shares, human_shares, n_respondents, source_title, source_origin, source_sha256,
    run_id, code_version, answer_run_id, human_run_id
FROM similarity.provenance
WHERE model_version LIKE 'smollm2%' AND condition = 'cross_national:TUR' AND country = 'SWE' AND is_latest_wave
    AND group_by = '' AND metric = 'js_similarity' AND base = 'e' AND source_question = 'WVS.religion';
