-- One answer to each question under each condition, with its prompt: the first option order's first sample that came.
SELECT
    question_id, model_version, condition, prompt, method, option_order, status, error, raw_text, option_logprobs,
    letter_mass, answer_index, prompt_tokens, completion_tokens, cost_usd, model_reported, request_hash,
    strftime(requested_at, '%Y-%m-%d %H:%M:%S UTC') AS requested_at,
    count(*) OVER same AS n_answers, count_if(status = 'invalid') OVER same AS n_invalid,
    count_if(status = 'failed') OVER same AS n_failed
FROM response.answer
WINDOW same AS (PARTITION BY model_version, condition, question_id)
QUALIFY row_number() OVER (
    PARTITION BY model_version, condition, question_id ORDER BY status = 'failed', option_order, sample_index, request_hash
) = 1
ORDER BY question_id, model_version, condition;
