-- The question dataset: questions, options with roles, human answer distributions, harmonised countries.
CREATE SCHEMA IF NOT EXISTS question;

CREATE TABLE IF NOT EXISTS question.question (
    question_id   VARCHAR NOT NULL,
    family        VARCHAR NOT NULL,
    source        VARCHAR NOT NULL,
    source_question VARCHAR NOT NULL,
    survey        VARCHAR NOT NULL,
    language      VARCHAR NOT NULL,
    text          VARCHAR NOT NULL,
    n_options     INTEGER NOT NULL,
    is_ordinal    BOOLEAN NOT NULL,
    topic         VARCHAR NOT NULL,
    topic_method  VARCHAR NOT NULL,
    duplicate_of  VARCHAR
);
COMMENT ON TABLE question.question IS 'One row per source and question.';
COMMENT ON COLUMN question.question.question_id IS 'Content hash of text and options.';
COMMENT ON COLUMN question.question.family IS 'Question family; global_opinion for survey questions with human answers by country.';
COMMENT ON COLUMN question.question.source IS 'Survey source; the same question_id may stand in two sources.';
COMMENT ON COLUMN question.question.source_question IS 'The source''s own name of the question.';
COMMENT ON COLUMN question.question.survey IS 'Survey programme.';
COMMENT ON COLUMN question.question.language IS 'BCP 47 tag of the text.';
COMMENT ON COLUMN question.question.text IS 'Question as asked.';
COMMENT ON COLUMN question.question.n_options IS 'Number of options.';
COMMENT ON COLUMN question.question.is_ordinal IS 'Whether the substantive options are ordered: as the source says, else by the reviewed scales of opinion_assets/questions/scales.yaml.';
COMMENT ON COLUMN question.question.topic IS 'Topic of the question: the source''s own where it gives one, else one of opinion_assets/questions/topics.yaml by the words of the question.';
COMMENT ON COLUMN question.question.topic_method IS 'How the topic was found: catalogue (the source gave it), or keywords and the version of the scheme.';
COMMENT ON COLUMN question.question.duplicate_of IS 'question_id of the question of the same source that this one repeats up to spelling; NULL otherwise.';

CREATE TABLE IF NOT EXISTS question.option (
    question_id   VARCHAR NOT NULL,
    option_index  INTEGER NOT NULL,
    option        VARCHAR NOT NULL,
    role          VARCHAR NOT NULL CHECK (role IN ('substantive', 'dont_know', 'refused', 'dont_know_or_refused', 'other')),
    ordinal_value DOUBLE
);
COMMENT ON TABLE question.option IS 'Answer options of each question, one set per question_id.';
COMMENT ON COLUMN question.option.question_id IS 'Content hash of text and options.';
COMMENT ON COLUMN question.option.option_index IS 'Position in the source''s order, from 0.';
COMMENT ON COLUMN question.option.option IS 'Option text.';
COMMENT ON COLUMN question.option.role IS 'substantive, dont_know, refused, dont_know_or_refused (one option for both) or other (not offered but volunteered, or no valid answer).';
COMMENT ON COLUMN question.option.ordinal_value IS 'Position on the scale, 0 to 1 in equal steps: in the source''s order where the source calls it ordinal, else in that of the reviewed scale; NULL where options are not ordered or the option is not substantive.';

CREATE TABLE IF NOT EXISTS question.human_distribution (
    source        VARCHAR NOT NULL,
    question_id   VARCHAR NOT NULL,
    wave          VARCHAR NOT NULL,
    is_latest_wave BOOLEAN NOT NULL,
    country_label VARCHAR NOT NULL,
    country       VARCHAR NOT NULL,
    sample_type   VARCHAR NOT NULL,
    group_by      VARCHAR NOT NULL,
    group_value   VARCHAR NOT NULL,
    option_index  INTEGER NOT NULL,
    share         DOUBLE NOT NULL,
    n             BIGINT,
    n_effective   DOUBLE
);
COMMENT ON TABLE question.human_distribution IS 'Human answer distributions with harmonised countries, one row per option.';
COMMENT ON COLUMN question.human_distribution.source IS 'Survey source.';
COMMENT ON COLUMN question.human_distribution.question_id IS 'Content hash of text and options.';
COMMENT ON COLUMN question.human_distribution.wave IS 'Survey wave; empty where the source does not say.';
COMMENT ON COLUMN question.human_distribution.is_latest_wave IS 'Whether this is the newest wave of this source, question, country label and group; only these enter country means.';
COMMENT ON COLUMN question.human_distribution.country_label IS 'Country as the source writes it.';
COMMENT ON COLUMN question.human_distribution.country IS 'ISO 3166-1 alpha-3 code, or ISO 3166-2 code of a part of a country (GB-NIR).';
COMMENT ON COLUMN question.human_distribution.sample_type IS 'national, non_national, old_national or current_national; never merged.';
COMMENT ON COLUMN question.human_distribution.group_by IS 'Demographic variable; empty for the whole country.';
COMMENT ON COLUMN question.human_distribution.group_value IS 'Value of the demographic variable; empty for the whole country.';
COMMENT ON COLUMN question.human_distribution.option_index IS 'Position of the option, from 0.';
COMMENT ON COLUMN question.human_distribution.share IS 'Share of respondents, 0 to 1; sums to 1 over the options.';
COMMENT ON COLUMN question.human_distribution.n IS 'Respondents behind the distribution; NULL where unknown.';
COMMENT ON COLUMN question.human_distribution.n_effective IS 'Kish effective sample size; NULL where unknown.';

CREATE TABLE IF NOT EXISTS question.country (
    country_label VARCHAR NOT NULL,
    country       VARCHAR NOT NULL,
    sample_type   VARCHAR NOT NULL,
    name          VARCHAR NOT NULL,
    alpha_2       VARCHAR,
    region        VARCHAR NOT NULL,
    mapped_by     VARCHAR NOT NULL,
    reason        VARCHAR NOT NULL
);
COMMENT ON TABLE question.country IS 'Every country label of every source and the country it stands for.';
COMMENT ON COLUMN question.country.country_label IS 'Country as the source writes it.';
COMMENT ON COLUMN question.country.country IS 'ISO 3166-1 alpha-3 code, or ISO 3166-2 code of a part of a country (GB-NIR).';
COMMENT ON COLUMN question.country.sample_type IS 'national, non_national, old_national or current_national.';
COMMENT ON COLUMN question.country.name IS 'English short name used in prompts and in the report.';
COMMENT ON COLUMN question.country.alpha_2 IS 'ISO 3166-1 alpha-2 code; NULL for parts of a country.';
COMMENT ON COLUMN question.country.region IS 'World region (United Nations M49 sub-region).';
COMMENT ON COLUMN question.country.mapped_by IS 'pycountry (exact name) or reviewed (country_labels.yaml).';
COMMENT ON COLUMN question.country.reason IS 'Why this label stands for this country; for exact names, exact name.';

CREATE TABLE IF NOT EXISTS question.human_similarity (
    source        VARCHAR NOT NULL,
    country_a     VARCHAR NOT NULL,
    sample_type_a VARCHAR NOT NULL,
    country_b     VARCHAR NOT NULL,
    sample_type_b VARCHAR NOT NULL,
    metric        VARCHAR NOT NULL,
    base          VARCHAR NOT NULL,
    mean          DOUBLE NOT NULL,
    n_questions   BIGINT NOT NULL
);
COMMENT ON TABLE question.human_similarity IS 'How alike the answers of two countries are, over the questions both were asked; one row a pair, a before b.';
COMMENT ON COLUMN question.human_similarity.source IS 'Survey source.';
COMMENT ON COLUMN question.human_similarity.country_a IS 'ISO 3166 code of the first country.';
COMMENT ON COLUMN question.human_similarity.sample_type_a IS 'Sample type of the first country.';
COMMENT ON COLUMN question.human_similarity.country_b IS 'ISO 3166 code of the second country.';
COMMENT ON COLUMN question.human_similarity.sample_type_b IS 'Sample type of the second country.';
COMMENT ON COLUMN question.human_similarity.metric IS 'Name of the metric: js_similarity = 1 - Jensen-Shannon distance.';
COMMENT ON COLUMN question.human_similarity.base IS 'Base of the logarithm.';
COMMENT ON COLUMN question.human_similarity.mean IS 'Mean of the metric over the common questions.';
COMMENT ON COLUMN question.human_similarity.n_questions IS 'Questions that both countries were asked.';
