-- Similarity of a model's answers to people's answers.
CREATE SCHEMA IF NOT EXISTS similarity;

CREATE TABLE IF NOT EXISTS similarity.question_country (
    model_version VARCHAR NOT NULL,
    condition     VARCHAR NOT NULL,
    source        VARCHAR NOT NULL,
    question_id   VARCHAR NOT NULL,
    wave          VARCHAR NOT NULL,
    is_latest_wave BOOLEAN NOT NULL,
    country_label VARCHAR NOT NULL,
    country       VARCHAR NOT NULL,
    sample_type   VARCHAR NOT NULL,
    group_by      VARCHAR NOT NULL,
    group_value   VARCHAR NOT NULL,
    metric        VARCHAR NOT NULL,
    base          VARCHAR NOT NULL,
    value         DOUBLE NOT NULL
);
COMMENT ON TABLE similarity.question_country IS 'One row per question, human distribution and metric.';
COMMENT ON COLUMN similarity.question_country.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.question_country.condition IS 'Prompt condition.';
COMMENT ON COLUMN similarity.question_country.source IS 'Survey source of the human distribution.';
COMMENT ON COLUMN similarity.question_country.question_id IS 'Content hash of text and options.';
COMMENT ON COLUMN similarity.question_country.wave IS 'Survey wave; empty where the source does not say.';
COMMENT ON COLUMN similarity.question_country.is_latest_wave IS 'Whether the row enters similarity.country.';
COMMENT ON COLUMN similarity.question_country.country_label IS 'Country as the source writes it.';
COMMENT ON COLUMN similarity.question_country.country IS 'ISO 3166 code.';
COMMENT ON COLUMN similarity.question_country.sample_type IS 'national, non_national, old_national or current_national.';
COMMENT ON COLUMN similarity.question_country.group_by IS 'Demographic variable; empty for the whole country.';
COMMENT ON COLUMN similarity.question_country.group_value IS 'Value of the demographic variable; empty for the whole country.';
COMMENT ON COLUMN similarity.question_country.metric IS 'Name of the metric, e.g. js_similarity = 1 - Jensen-Shannon distance.';
COMMENT ON COLUMN similarity.question_country.base IS 'Base of the logarithm: e or 2; empty for metrics without one.';
COMMENT ON COLUMN similarity.question_country.value IS 'Value of the metric.';

CREATE TABLE IF NOT EXISTS similarity.country (
    model_version VARCHAR NOT NULL,
    condition     VARCHAR NOT NULL,
    source        VARCHAR NOT NULL,
    country       VARCHAR NOT NULL,
    sample_type   VARCHAR NOT NULL,
    group_by      VARCHAR NOT NULL,
    group_value   VARCHAR NOT NULL,
    metric        VARCHAR NOT NULL,
    base          VARCHAR NOT NULL,
    mean          DOUBLE NOT NULL,
    ci_low        DOUBLE,
    ci_high       DOUBLE,
    interval      VARCHAR NOT NULL,
    confidence    DOUBLE NOT NULL,
    cluster_by    VARCHAR NOT NULL,
    n_questions   BIGINT NOT NULL,
    n_clusters    BIGINT NOT NULL,
    n_resamples   BIGINT NOT NULL,
    seed          BIGINT NOT NULL
);
COMMENT ON TABLE similarity.country IS 'Mean similarity per country with bootstrap confidence intervals.';
COMMENT ON COLUMN similarity.country.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.country.condition IS 'Prompt condition.';
COMMENT ON COLUMN similarity.country.source IS 'Survey source; sources are never averaged together.';
COMMENT ON COLUMN similarity.country.country IS 'ISO 3166 code.';
COMMENT ON COLUMN similarity.country.sample_type IS 'national, non_national, old_national or current_national.';
COMMENT ON COLUMN similarity.country.group_by IS 'Demographic variable; empty for the whole country.';
COMMENT ON COLUMN similarity.country.group_value IS 'Value of the demographic variable; empty for the whole country.';
COMMENT ON COLUMN similarity.country.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.country.base IS 'Base of the logarithm: e or 2; empty for metrics without one.';
COMMENT ON COLUMN similarity.country.mean IS 'Mean of the metric over the country''s questions (newest wave of each).';
COMMENT ON COLUMN similarity.country.ci_low IS 'Lower end of the interval; NULL with fewer than 2 clusters.';
COMMENT ON COLUMN similarity.country.ci_high IS 'Upper end of the interval; NULL with fewer than 2 clusters.';
COMMENT ON COLUMN similarity.country.interval IS 'percentile or bca.';
COMMENT ON COLUMN similarity.country.confidence IS 'Nominal coverage of the interval, e.g. 0.95.';
COMMENT ON COLUMN similarity.country.cluster_by IS 'What the bootstrap resamples: question, topic or wave.';
COMMENT ON COLUMN similarity.country.n_questions IS 'Questions behind the mean.';
COMMENT ON COLUMN similarity.country.n_clusters IS 'Clusters that the bootstrap resamples.';
COMMENT ON COLUMN similarity.country.n_resamples IS 'Bootstrap resamples.';
COMMENT ON COLUMN similarity.country.seed IS 'Seed of the bootstrap.';

CREATE TABLE IF NOT EXISTS similarity.model_comparison (
    source        VARCHAR NOT NULL,
    comparison    VARCHAR NOT NULL,
    model_version_a VARCHAR NOT NULL,
    condition_a   VARCHAR NOT NULL,
    model_version_b VARCHAR NOT NULL,
    condition_b   VARCHAR NOT NULL,
    country       VARCHAR NOT NULL,
    sample_type   VARCHAR NOT NULL,
    metric        VARCHAR NOT NULL,
    base          VARCHAR NOT NULL,
    n_questions   BIGINT NOT NULL,
    difference    DOUBLE NOT NULL,
    ci_low        DOUBLE,
    ci_high       DOUBLE,
    p_value       DOUBLE,
    p_holm        DOUBLE,
    p_bh          DOUBLE,
    n_resamples   BIGINT NOT NULL,
    seed          BIGINT NOT NULL
);
COMMENT ON TABLE similarity.model_comparison IS 'Paired differences A - B of country means over the questions that both answered.';
COMMENT ON COLUMN similarity.model_comparison.source IS 'Survey source.';
COMMENT ON COLUMN similarity.model_comparison.comparison IS 'model (two models, one condition), version (two versions of one model) or condition (one model, two conditions).';
COMMENT ON COLUMN similarity.model_comparison.model_version_a IS 'Model version A.';
COMMENT ON COLUMN similarity.model_comparison.condition_a IS 'Condition of A.';
COMMENT ON COLUMN similarity.model_comparison.model_version_b IS 'Model version B.';
COMMENT ON COLUMN similarity.model_comparison.condition_b IS 'Condition of B.';
COMMENT ON COLUMN similarity.model_comparison.country IS 'ISO 3166 code.';
COMMENT ON COLUMN similarity.model_comparison.sample_type IS 'national, non_national, old_national or current_national.';
COMMENT ON COLUMN similarity.model_comparison.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.model_comparison.base IS 'Base of the logarithm; empty for metrics without one.';
COMMENT ON COLUMN similarity.model_comparison.n_questions IS 'Questions that both sides answered.';
COMMENT ON COLUMN similarity.model_comparison.difference IS 'Mean of A minus mean of B.';
COMMENT ON COLUMN similarity.model_comparison.ci_low IS 'Lower end of the 95 % interval; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.model_comparison.ci_high IS 'Upper end of the 95 % interval; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.model_comparison.p_value IS 'Two-sided bootstrap p value of difference = 0; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.model_comparison.p_holm IS 'p value corrected by Holm over the countries of the comparison.';
COMMENT ON COLUMN similarity.model_comparison.p_bh IS 'p value corrected by Benjamini-Hochberg over the countries of the comparison.';
COMMENT ON COLUMN similarity.model_comparison.n_resamples IS 'Bootstrap resamples.';
COMMENT ON COLUMN similarity.model_comparison.seed IS 'Seed of the bootstrap.';
