-- A model's answers, and the answer distributions computed from them.
CREATE SCHEMA IF NOT EXISTS response;

CREATE TABLE IF NOT EXISTS response.answer (
    model_version VARCHAR NOT NULL,
    condition     VARCHAR NOT NULL,
    question_id   VARCHAR NOT NULL,
    request_hash  VARCHAR NOT NULL,
    prompt_hash   VARCHAR NOT NULL,
    prompt        VARCHAR NOT NULL,
    method        VARCHAR NOT NULL,
    option_order  INTEGER[] NOT NULL,
    sample_index  INTEGER NOT NULL,
    status        VARCHAR NOT NULL CHECK (status IN ('ok', 'invalid', 'failed')),
    error         VARCHAR,
    raw_text      VARCHAR,
    option_logprobs DOUBLE[],
    letter_mass   DOUBLE,
    answer_index  INTEGER,
    prompt_tokens BIGINT,
    completion_tokens BIGINT,
    cost_usd      DOUBLE NOT NULL,
    model_reported VARCHAR,
    requested_at  TIMESTAMPTZ NOT NULL,
    latency_s     DOUBLE
);
COMMENT ON TABLE response.answer IS 'One row per request to a model; the raw material of every number.';
COMMENT ON COLUMN response.answer.model_version IS 'Whole dated model id from the registry.';
COMMENT ON COLUMN response.answer.condition IS 'default, cross_national:<ISO 3166 code> or linguistic:<BCP 47 tag>.';
COMMENT ON COLUMN response.answer.question_id IS 'Content hash of text and options.';
COMMENT ON COLUMN response.answer.request_hash IS 'SHA-256 of all that determines the request: model version, rendered prompt, option order, method and sampling settings.';
COMMENT ON COLUMN response.answer.prompt_hash IS 'SHA-256 of the rendered prompt.';
COMMENT ON COLUMN response.answer.prompt IS 'The rendered prompt; for chat, the messages as JSON.';
COMMENT ON COLUMN response.answer.method IS 'completion_logprobs, chat_logprobs, sampling or imported.';
COMMENT ON COLUMN response.answer.option_order IS 'option_index of the option behind the first, second, … letter.';
COMMENT ON COLUMN response.answer.sample_index IS 'Number of the sample for this prompt, from 0; 0 for log-probability methods.';
COMMENT ON COLUMN response.answer.status IS 'ok, invalid (an answer came but names no option) or failed (no answer came).';
COMMENT ON COLUMN response.answer.error IS 'Reason where status is not ok; NULL otherwise.';
COMMENT ON COLUMN response.answer.raw_text IS 'Text that the model returned.';
COMMENT ON COLUMN response.answer.option_logprobs IS 'Natural log of the probability mass on each option''s letter, summed over token variants, by option_index; NULL for sampling. -inf where no variant was returned.';
COMMENT ON COLUMN response.answer.letter_mass IS 'Total probability on all options'' letters, 0 to 1; NULL for sampling.';
COMMENT ON COLUMN response.answer.answer_index IS 'option_index of the chosen option for sampling; NULL where invalid, failed or log-probabilities.';
COMMENT ON COLUMN response.answer.prompt_tokens IS 'Prompt tokens the server reported; NULL where it reported none.';
COMMENT ON COLUMN response.answer.completion_tokens IS 'Completion tokens the server reported; NULL where it reported none.';
COMMENT ON COLUMN response.answer.cost_usd IS 'Cost by the registry''s prices, US dollars.';
COMMENT ON COLUMN response.answer.model_reported IS 'Model name the server answered with.';
COMMENT ON COLUMN response.answer.requested_at IS 'Time of the request, UTC.';
COMMENT ON COLUMN response.answer.latency_s IS 'Seconds from request to answer.';

CREATE TABLE IF NOT EXISTS response.distribution (
    model_version VARCHAR NOT NULL,
    condition     VARCHAR NOT NULL,
    question_id   VARCHAR NOT NULL,
    option_index  INTEGER NOT NULL,
    probability   DOUBLE NOT NULL,
    method        VARCHAR NOT NULL,
    n_orders      INTEGER NOT NULL,
    n_answers     INTEGER NOT NULL,
    n_invalid     INTEGER NOT NULL,
    letter_mass   DOUBLE,
    order_effect  DOUBLE
);
COMMENT ON TABLE response.distribution IS 'The model''s answer distribution to each question, averaged over option orders and samples, normalised over the options.';
COMMENT ON COLUMN response.distribution.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN response.distribution.condition IS 'Prompt condition.';
COMMENT ON COLUMN response.distribution.question_id IS 'Content hash of text and options.';
COMMENT ON COLUMN response.distribution.option_index IS 'Position of the option, from 0.';
COMMENT ON COLUMN response.distribution.probability IS 'Probability of the option, 0 to 1; sums to 1 over the options.';
COMMENT ON COLUMN response.distribution.method IS 'completion_logprobs, chat_logprobs, sampling or imported.';
COMMENT ON COLUMN response.distribution.n_orders IS 'Number of option orders asked.';
COMMENT ON COLUMN response.distribution.n_answers IS 'Answers that entered.';
COMMENT ON COLUMN response.distribution.n_invalid IS 'Answers that named no option and did not enter.';
COMMENT ON COLUMN response.distribution.letter_mass IS 'Mean probability on the letters before normalisation; NULL for sampling.';
COMMENT ON COLUMN response.distribution.order_effect IS 'Mean total variation distance between the distributions of single orders and their average, 0 to 1; NULL with one order.';
