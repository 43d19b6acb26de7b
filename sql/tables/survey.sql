-- Survey sources, as ingested. One row per source, question, wave, country, group and answer option.
CREATE SCHEMA IF NOT EXISTS survey;

CREATE TABLE IF NOT EXISTS survey.snapshot (
    source        VARCHAR NOT NULL,
    snapshot      VARCHAR NOT NULL,
    title         VARCHAR NOT NULL,
    origin        VARCHAR NOT NULL,
    licence       VARCHAR NOT NULL,
    citation      VARCHAR NOT NULL,
    file_name     VARCHAR NOT NULL,
    sha256        VARCHAR NOT NULL,
    n_bytes       BIGINT NOT NULL,
    ingested_at   TIMESTAMPTZ NOT NULL,
    n_questions   BIGINT NOT NULL,
    n_distributions BIGINT NOT NULL
);
COMMENT ON TABLE survey.snapshot IS 'The dated, checksummed copy of each source file that the other tables were made from.';
COMMENT ON COLUMN survey.snapshot.source IS 'Short name of the survey source, e.g. wvs_embedded, global_opinion_qa.';
COMMENT ON COLUMN survey.snapshot.snapshot IS 'Snapshot id: ingestion date and the first 12 hex digits of the sha256, e.g. 2026-11-24-0123456789ab.';
COMMENT ON COLUMN survey.snapshot.title IS 'Full name of the data set.';
COMMENT ON COLUMN survey.snapshot.origin IS 'Where the file came from: a package and version, a hub revision or a file name given by the user.';
COMMENT ON COLUMN survey.snapshot.licence IS 'Licence or terms of use of the source.';
COMMENT ON COLUMN survey.snapshot.citation IS 'How the source asks to be cited.';
COMMENT ON COLUMN survey.snapshot.file_name IS 'Name of the source file inside the snapshot folder.';
COMMENT ON COLUMN survey.snapshot.sha256 IS 'SHA-256 of the source file, hex.';
COMMENT ON COLUMN survey.snapshot.n_bytes IS 'Size of the source file in bytes.';
COMMENT ON COLUMN survey.snapshot.ingested_at IS 'Time of ingestion, UTC.';
COMMENT ON COLUMN survey.snapshot.n_questions IS 'Questions found in the source.';
COMMENT ON COLUMN survey.snapshot.n_distributions IS 'Answer distributions (question, wave, country, group) found in the source.';

CREATE TABLE IF NOT EXISTS survey.question (
    source          VARCHAR NOT NULL,
    source_question VARCHAR NOT NULL,
    question_id     VARCHAR NOT NULL,
    survey          VARCHAR NOT NULL,
    language        VARCHAR NOT NULL,
    text            VARCHAR NOT NULL,
    options         VARCHAR[] NOT NULL,
    is_ordinal      BOOLEAN,
    topic           VARCHAR,
    weighting       VARCHAR NOT NULL
);
COMMENT ON TABLE survey.question IS 'Questions of each source, in the source''s order of options.';
COMMENT ON COLUMN survey.question.source IS 'Survey source.';
COMMENT ON COLUMN survey.question.source_question IS 'The source''s own name of the question: variable code or row number.';
COMMENT ON COLUMN survey.question.question_id IS 'Content hash of text and options (opinion_assets.identity.question_id).';
COMMENT ON COLUMN survey.question.survey IS 'Survey programme inside the source, e.g. WVS or GAS (Pew Global Attitudes).';
COMMENT ON COLUMN survey.question.language IS 'BCP 47 tag of the text.';
COMMENT ON COLUMN survey.question.text IS 'Question as asked.';
COMMENT ON COLUMN survey.question.options IS 'Answer options in the source''s order.';
COMMENT ON COLUMN survey.question.is_ordinal IS 'Whether the catalogue says that the substantive options are ordered; NULL where the source does not say.';
COMMENT ON COLUMN survey.question.topic IS 'Topic given by the source''s catalogue; NULL where it gives none.';
COMMENT ON COLUMN survey.question.weighting IS 'Name of the weight variable, unweighted, or as_published where shares came ready-made.';

CREATE TABLE IF NOT EXISTS survey.response (
    source        VARCHAR NOT NULL,
    question_id   VARCHAR NOT NULL,
    wave          VARCHAR NOT NULL,
    country_label VARCHAR NOT NULL,
    group_by      VARCHAR NOT NULL,
    group_value   VARCHAR NOT NULL,
    option_index  INTEGER NOT NULL,
    option        VARCHAR NOT NULL,
    share         DOUBLE NOT NULL,
    n             BIGINT,
    weighted_n    DOUBLE,
    n_effective   DOUBLE
);
COMMENT ON TABLE survey.response IS 'Shares of respondents who chose each option, by source, question, wave, country and group.';
COMMENT ON COLUMN survey.response.source IS 'Survey source.';
COMMENT ON COLUMN survey.response.question_id IS 'Content hash of text and options.';
COMMENT ON COLUMN survey.response.wave IS 'Survey wave or year as the source names it; empty where the source does not say.';
COMMENT ON COLUMN survey.response.country_label IS 'Country as the source writes it.';
COMMENT ON COLUMN survey.response.group_by IS 'Demographic variable; empty for the whole country.';
COMMENT ON COLUMN survey.response.group_value IS 'Value of the demographic variable; empty for the whole country.';
COMMENT ON COLUMN survey.response.option_index IS 'Position of the option in the source''s order, from 0.';
COMMENT ON COLUMN survey.response.option IS 'Option text.';
COMMENT ON COLUMN survey.response.share IS 'Weighted share of the respondents of this row''s distribution, 0 to 1; sums to 1 over the options.';
COMMENT ON COLUMN survey.response.n IS 'Respondents behind the whole distribution, unweighted; NULL where the source does not say.';
COMMENT ON COLUMN survey.response.weighted_n IS 'Sum of the weights behind the whole distribution; NULL where the source does not say.';
COMMENT ON COLUMN survey.response.n_effective IS 'Kish effective sample size (sum w)^2 / sum w^2 of the whole distribution; NULL where the source does not say.';

CREATE TABLE IF NOT EXISTS survey.dropped (
    source        VARCHAR NOT NULL,
    source_question VARCHAR,
    country_label VARCHAR,
    action        VARCHAR NOT NULL CHECK (action IN ('dropped', 'merged', 'kept_apart', 'normalised')),
    reason        VARCHAR NOT NULL,
    n             BIGINT NOT NULL
);
COMMENT ON TABLE survey.dropped IS 'What ingestion dropped, merged or changed, and why; nothing is dropped silently.';
COMMENT ON COLUMN survey.dropped.source IS 'Survey source.';
COMMENT ON COLUMN survey.dropped.source_question IS 'The source''s own name of the question; NULL when it concerns the whole source.';
COMMENT ON COLUMN survey.dropped.country_label IS 'Country as the source writes it; NULL when it concerns all.';
COMMENT ON COLUMN survey.dropped.action IS 'dropped, merged, kept_apart or normalised.';
COMMENT ON COLUMN survey.dropped.reason IS 'Why.';
COMMENT ON COLUMN survey.dropped.n IS 'How many respondents, rows or distributions (the reason says which).';
