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
    n_effective   DOUBLE,
    order_effect  DOUBLE,
    invalid_rate  DOUBLE,
    n_resamples   BIGINT NOT NULL,
    seed          BIGINT NOT NULL
);
COMMENT ON TABLE similarity.country IS 'Mean similarity per country with bootstrap confidence intervals.';
COMMENT ON COLUMN similarity.country.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.country.condition IS 'Prompt condition.';
COMMENT ON COLUMN similarity.country.source IS 'Survey source; sources are never averaged together.';
COMMENT ON COLUMN similarity.country.country IS 'ISO 3166 code.';
COMMENT ON COLUMN similarity.country.sample_type IS 'national, non_national, old_national or current_national; never merged.';
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
COMMENT ON COLUMN similarity.country.n_effective IS 'Independent questions that would give a mean as certain: n_questions divided by the design effect of the clusters, at most n_questions; NULL with fewer than 2 clusters or where all values are equal.';
COMMENT ON COLUMN similarity.country.order_effect IS 'Mean over these questions of response.distribution.order_effect, 0 to 1; NULL where each was asked in one option order.';
COMMENT ON COLUMN similarity.country.invalid_rate IS 'Share of invalid answers among the answers to these questions, 0 to 1. Questions without any valid answer are not behind the mean and do not count here.';
COMMENT ON COLUMN similarity.country.n_resamples IS 'Bootstrap resamples.';
COMMENT ON COLUMN similarity.country.seed IS 'Seed of the bootstrap.';

CREATE TABLE IF NOT EXISTS similarity.topic (
    model_version VARCHAR NOT NULL,
    condition     VARCHAR NOT NULL,
    source        VARCHAR NOT NULL,
    country       VARCHAR NOT NULL,
    sample_type   VARCHAR NOT NULL,
    topic         VARCHAR NOT NULL,
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
    n_effective   DOUBLE,
    order_effect  DOUBLE,
    invalid_rate  DOUBLE,
    n_resamples   BIGINT NOT NULL,
    seed          BIGINT NOT NULL
);
COMMENT ON TABLE similarity.topic IS 'Mean similarity per country and topic with bootstrap confidence intervals; whole countries only.';
COMMENT ON COLUMN similarity.topic.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.topic.condition IS 'Prompt condition.';
COMMENT ON COLUMN similarity.topic.source IS 'Survey source; sources are never averaged together.';
COMMENT ON COLUMN similarity.topic.country IS 'ISO 3166 code.';
COMMENT ON COLUMN similarity.topic.sample_type IS 'national, non_national, old_national or current_national; never merged.';
COMMENT ON COLUMN similarity.topic.topic IS 'Topic of the questions (question.question).';
COMMENT ON COLUMN similarity.topic.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.topic.base IS 'Base of the logarithm: e or 2; empty for metrics without one.';
COMMENT ON COLUMN similarity.topic.mean IS 'Mean of the metric over the country''s questions on the topic (newest wave of each).';
COMMENT ON COLUMN similarity.topic.ci_low IS 'Lower end of the interval; NULL with fewer than 2 clusters.';
COMMENT ON COLUMN similarity.topic.ci_high IS 'Upper end of the interval; NULL with fewer than 2 clusters.';
COMMENT ON COLUMN similarity.topic.interval IS 'percentile or bca.';
COMMENT ON COLUMN similarity.topic.confidence IS 'Nominal coverage of the interval, e.g. 0.95.';
COMMENT ON COLUMN similarity.topic.cluster_by IS 'What the bootstrap resamples: question, topic or wave.';
COMMENT ON COLUMN similarity.topic.n_questions IS 'Questions behind the mean.';
COMMENT ON COLUMN similarity.topic.n_clusters IS 'Clusters that the bootstrap resamples.';
COMMENT ON COLUMN similarity.topic.n_effective IS 'Independent questions that would give a mean as certain: n_questions divided by the design effect of the clusters, at most n_questions; NULL with fewer than 2 clusters or where all values are equal.';
COMMENT ON COLUMN similarity.topic.order_effect IS 'Mean over these questions of response.distribution.order_effect, 0 to 1; NULL where each was asked in one option order.';
COMMENT ON COLUMN similarity.topic.invalid_rate IS 'Share of invalid answers among the answers to these questions, 0 to 1. Questions without any valid answer are not behind the mean and do not count here.';
COMMENT ON COLUMN similarity.topic.n_resamples IS 'Bootstrap resamples.';
COMMENT ON COLUMN similarity.topic.seed IS 'Seed of the bootstrap.';

CREATE TABLE IF NOT EXISTS similarity.region (
    model_version VARCHAR NOT NULL,
    condition     VARCHAR NOT NULL,
    source        VARCHAR NOT NULL,
    region        VARCHAR NOT NULL,
    sample_type   VARCHAR NOT NULL,
    metric        VARCHAR NOT NULL,
    base          VARCHAR NOT NULL,
    mean          DOUBLE NOT NULL,
    ci_low        DOUBLE,
    ci_high       DOUBLE,
    interval      VARCHAR NOT NULL,
    confidence    DOUBLE NOT NULL,
    cluster_by    VARCHAR NOT NULL,
    n_countries   BIGINT NOT NULL,
    n_questions   BIGINT NOT NULL,
    n_clusters    BIGINT NOT NULL,
    n_effective   DOUBLE,
    order_effect  DOUBLE,
    invalid_rate  DOUBLE,
    n_resamples   BIGINT NOT NULL,
    seed          BIGINT NOT NULL
);
COMMENT ON TABLE similarity.region IS 'Mean similarity per world region with bootstrap confidence intervals; whole countries only. Region World holds all countries of a sample type.';
COMMENT ON COLUMN similarity.region.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.region.condition IS 'Prompt condition.';
COMMENT ON COLUMN similarity.region.source IS 'Survey source; sources are never averaged together.';
COMMENT ON COLUMN similarity.region.region IS 'World region (United Nations M49 sub-region), or World for all regions together.';
COMMENT ON COLUMN similarity.region.sample_type IS 'national, non_national, old_national or current_national; never merged.';
COMMENT ON COLUMN similarity.region.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.region.base IS 'Base of the logarithm: e or 2; empty for metrics without one.';
COMMENT ON COLUMN similarity.region.mean IS 'Mean over questions of the mean over the region''s countries that were asked the question; countries are not weighted by population.';
COMMENT ON COLUMN similarity.region.ci_low IS 'Lower end of the interval; NULL with fewer than 2 clusters.';
COMMENT ON COLUMN similarity.region.ci_high IS 'Upper end of the interval; NULL with fewer than 2 clusters.';
COMMENT ON COLUMN similarity.region.interval IS 'percentile or bca.';
COMMENT ON COLUMN similarity.region.confidence IS 'Nominal coverage of the interval, e.g. 0.95.';
COMMENT ON COLUMN similarity.region.cluster_by IS 'What the bootstrap resamples: question, topic or wave.';
COMMENT ON COLUMN similarity.region.n_countries IS 'Countries behind the mean.';
COMMENT ON COLUMN similarity.region.n_questions IS 'Questions behind the mean.';
COMMENT ON COLUMN similarity.region.n_clusters IS 'Clusters that the bootstrap resamples.';
COMMENT ON COLUMN similarity.region.n_effective IS 'Independent questions that would give a mean as certain: n_questions divided by the design effect of the clusters, at most n_questions; NULL with fewer than 2 clusters or where all values are equal.';
COMMENT ON COLUMN similarity.region.order_effect IS 'Mean over these questions of response.distribution.order_effect, 0 to 1; NULL where each was asked in one option order.';
COMMENT ON COLUMN similarity.region.invalid_rate IS 'Share of invalid answers among the answers to these questions, 0 to 1. Questions without any valid answer are not behind the mean and do not count here.';
COMMENT ON COLUMN similarity.region.n_resamples IS 'Bootstrap resamples.';
COMMENT ON COLUMN similarity.region.seed IS 'Seed of the bootstrap.';

CREATE TABLE IF NOT EXISTS similarity.reference (
    source        VARCHAR NOT NULL,
    country       VARCHAR NOT NULL,
    sample_type   VARCHAR NOT NULL,
    reference     VARCHAR NOT NULL CHECK (reference IN ('uniform', 'majority', 'other_countries', 'closest_country', 'noise_ceiling')),
    detail        VARCHAR,
    metric        VARCHAR NOT NULL,
    base          VARCHAR NOT NULL,
    mean          DOUBLE,
    ci_low        DOUBLE,
    ci_high       DOUBLE,
    confidence    DOUBLE NOT NULL,
    n_questions   BIGINT NOT NULL,
    n_resamples   BIGINT NOT NULL,
    seed          BIGINT NOT NULL
);
COMMENT ON TABLE similarity.reference IS 'What a country''s similarity can be read against, over all questions of the source: the same mean for answers that come from no model. Whole countries, newest waves.';
COMMENT ON COLUMN similarity.reference.source IS 'Survey source; sources are never averaged together.';
COMMENT ON COLUMN similarity.reference.country IS 'ISO 3166 code.';
COMMENT ON COLUMN similarity.reference.sample_type IS 'national, non_national, old_national or current_national; never merged.';
COMMENT ON COLUMN similarity.reference.reference IS 'uniform: equal probability on every option. majority: all probability on the most frequent option of the mean of the other countries. other_countries: mean over the other countries'' own answers. closest_country: the answers of the one other country that is most similar. noise_ceiling: a sample of the country''s own size drawn from its own answers.';
COMMENT ON COLUMN similarity.reference.detail IS 'closest_country: code of that country. noise_ceiling: where the numbers of respondents come from (n, or an assumption that was asked for), or why the mean is NULL. NULL for the others.';
COMMENT ON COLUMN similarity.reference.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.reference.base IS 'Base of the logarithm: e or 2; empty for metrics without one.';
COMMENT ON COLUMN similarity.reference.mean IS 'Mean of the metric over the country''s questions that have this reference; NULL for noise_ceiling where no number of respondents is known.';
COMMENT ON COLUMN similarity.reference.ci_low IS 'Lower end of the percentile interval, questions resampled; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.reference.ci_high IS 'Upper end of the percentile interval, questions resampled; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.reference.confidence IS 'Nominal coverage of the interval, e.g. 0.95.';
COMMENT ON COLUMN similarity.reference.n_questions IS 'Questions behind the mean; 0 where it is NULL.';
COMMENT ON COLUMN similarity.reference.n_resamples IS 'Bootstrap resamples.';
COMMENT ON COLUMN similarity.reference.seed IS 'Seed of the bootstrap.';

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
    interval      VARCHAR NOT NULL,
    confidence    DOUBLE NOT NULL,
    p_value       DOUBLE,
    p_holm        DOUBLE,
    p_bh          DOUBLE,
    n_resamples   BIGINT NOT NULL,
    n_permutations BIGINT NOT NULL,
    seed          BIGINT NOT NULL
);
COMMENT ON TABLE similarity.model_comparison IS 'Paired differences A - B of country means over the questions that both answered; whole countries, newest waves. Which pairs stand here is a setting of the asset.';
COMMENT ON COLUMN similarity.model_comparison.source IS 'Survey source.';
COMMENT ON COLUMN similarity.model_comparison.comparison IS 'model (two models, one condition), version (two versions of one model: A is the newer, so the difference is the drift) or condition (one model; B is default unless neither is).';
COMMENT ON COLUMN similarity.model_comparison.model_version_a IS 'Model version A.';
COMMENT ON COLUMN similarity.model_comparison.condition_a IS 'Condition of A.';
COMMENT ON COLUMN similarity.model_comparison.model_version_b IS 'Model version B.';
COMMENT ON COLUMN similarity.model_comparison.condition_b IS 'Condition of B.';
COMMENT ON COLUMN similarity.model_comparison.country IS 'ISO 3166 code.';
COMMENT ON COLUMN similarity.model_comparison.sample_type IS 'national, non_national, old_national or current_national; never merged.';
COMMENT ON COLUMN similarity.model_comparison.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.model_comparison.base IS 'Base of the logarithm: e or 2; empty for metrics without one.';
COMMENT ON COLUMN similarity.model_comparison.n_questions IS 'Questions that both sides answered.';
COMMENT ON COLUMN similarity.model_comparison.difference IS 'Mean of A minus mean of B.';
COMMENT ON COLUMN similarity.model_comparison.ci_low IS 'Lower end of the bootstrap interval of the difference, questions resampled; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.model_comparison.ci_high IS 'Upper end of the bootstrap interval of the difference, questions resampled; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.model_comparison.interval IS 'percentile or bca.';
COMMENT ON COLUMN similarity.model_comparison.confidence IS 'Nominal coverage of the interval, e.g. 0.95.';
COMMENT ON COLUMN similarity.model_comparison.p_value IS 'Two-sided p value of difference = 0 by random sign flips of whole questions; at least 1 / (n_permutations + 1). NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.model_comparison.p_holm IS 'p value corrected by Holm over the countries of one pair A, B.';
COMMENT ON COLUMN similarity.model_comparison.p_bh IS 'p value corrected by Benjamini-Hochberg over the countries of one pair A, B.';
COMMENT ON COLUMN similarity.model_comparison.n_resamples IS 'Bootstrap resamples behind the interval.';
COMMENT ON COLUMN similarity.model_comparison.n_permutations IS 'Sign patterns behind the p value.';
COMMENT ON COLUMN similarity.model_comparison.seed IS 'Seed of resamples and sign patterns.';

CREATE TABLE IF NOT EXISTS similarity.condition_effect (
    source        VARCHAR NOT NULL,
    model_version VARCHAR NOT NULL,
    condition     VARCHAR NOT NULL,
    country       VARCHAR NOT NULL,
    sample_type   VARCHAR NOT NULL,
    is_target     BOOLEAN NOT NULL,
    metric        VARCHAR NOT NULL,
    base          VARCHAR NOT NULL,
    effect        VARCHAR NOT NULL,
    default_mean  DOUBLE NOT NULL,
    condition_mean DOUBLE NOT NULL,
    default_rank  BIGINT NOT NULL,
    condition_rank BIGINT NOT NULL,
    n_ranked      BIGINT NOT NULL,
    n_questions   BIGINT NOT NULL,
    difference    DOUBLE NOT NULL,
    ci_low        DOUBLE,
    ci_high       DOUBLE,
    interval      VARCHAR NOT NULL,
    confidence    DOUBLE NOT NULL,
    p_value       DOUBLE,
    p_holm        DOUBLE,
    p_bh          DOUBLE,
    n_resamples   BIGINT NOT NULL,
    n_permutations BIGINT NOT NULL,
    seed          BIGINT NOT NULL
);
COMMENT ON TABLE similarity.condition_effect IS 'What a prompt condition changes in a model''s similarity to each country, against the same model''s default over the same questions; whole countries, newest waves.';
COMMENT ON COLUMN similarity.condition_effect.source IS 'Survey source.';
COMMENT ON COLUMN similarity.condition_effect.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.condition_effect.condition IS 'Prompt condition other than default.';
COMMENT ON COLUMN similarity.condition_effect.country IS 'ISO 3166 code of the country compared with.';
COMMENT ON COLUMN similarity.condition_effect.sample_type IS 'national, non_national, old_national or current_national; never merged.';
COMMENT ON COLUMN similarity.condition_effect.is_target IS 'Whether the condition speaks for this country: X of cross_national:X, or at least half of its population uses L of linguistic:L (translation.speakers).';
COMMENT ON COLUMN similarity.condition_effect.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.condition_effect.base IS 'Base of the logarithm: e or 2; empty for metrics without one.';
COMMENT ON COLUMN similarity.condition_effect.effect IS 'total: change of the mean. specific: change beyond the mean change toward the other countries (national samples) that were asked the same questions.';
COMMENT ON COLUMN similarity.condition_effect.default_mean IS 'Mean under default; for specific, of the value less the mean of the other countries.';
COMMENT ON COLUMN similarity.condition_effect.condition_mean IS 'The same under the condition.';
COMMENT ON COLUMN similarity.condition_effect.default_rank IS 'Rank of the country by default_mean among the countries of its sample type, 1 the closest. For total, countries are ranked on different questions.';
COMMENT ON COLUMN similarity.condition_effect.condition_rank IS 'Rank of the country by condition_mean, as default_rank.';
COMMENT ON COLUMN similarity.condition_effect.n_ranked IS 'Countries that were ranked.';
COMMENT ON COLUMN similarity.condition_effect.n_questions IS 'Questions that were answered under both conditions.';
COMMENT ON COLUMN similarity.condition_effect.difference IS 'condition_mean - default_mean; for similarities, positive is a move toward the country.';
COMMENT ON COLUMN similarity.condition_effect.ci_low IS 'Lower end of the bootstrap interval of the difference, questions resampled; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.condition_effect.ci_high IS 'Upper end of the bootstrap interval of the difference, questions resampled; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.condition_effect.interval IS 'percentile or bca.';
COMMENT ON COLUMN similarity.condition_effect.confidence IS 'Nominal coverage of the interval, e.g. 0.95.';
COMMENT ON COLUMN similarity.condition_effect.p_value IS 'Two-sided p value of difference = 0 by random sign flips of whole questions; at least 1 / (n_permutations + 1). NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.condition_effect.p_holm IS 'p value corrected by Holm over the countries of one condition and effect.';
COMMENT ON COLUMN similarity.condition_effect.p_bh IS 'p value corrected by Benjamini-Hochberg over the countries of one condition and effect.';
COMMENT ON COLUMN similarity.condition_effect.n_resamples IS 'Bootstrap resamples behind the interval.';
COMMENT ON COLUMN similarity.condition_effect.n_permutations IS 'Sign patterns behind the p value.';
COMMENT ON COLUMN similarity.condition_effect.seed IS 'Seed of resamples and sign patterns.';

CREATE TABLE IF NOT EXISTS similarity.condition_entropy (
    source        VARCHAR NOT NULL,
    model_version VARCHAR NOT NULL,
    condition     VARCHAR NOT NULL,
    country       VARCHAR NOT NULL,
    sample_type   VARCHAR NOT NULL,
    is_target     BOOLEAN NOT NULL,
    comparison    VARCHAR NOT NULL,
    base          VARCHAR NOT NULL,
    mean_a        DOUBLE NOT NULL,
    mean_b        DOUBLE NOT NULL,
    n_questions   BIGINT NOT NULL,
    difference    DOUBLE NOT NULL,
    ci_low        DOUBLE,
    ci_high       DOUBLE,
    interval      VARCHAR NOT NULL,
    confidence    DOUBLE NOT NULL,
    p_value       DOUBLE,
    p_holm        DOUBLE,
    p_bh          DOUBLE,
    n_resamples   BIGINT NOT NULL,
    n_permutations BIGINT NOT NULL,
    seed          BIGINT NOT NULL
);
COMMENT ON TABLE similarity.condition_entropy IS 'Whether a prompt condition flattens a model''s answers into a stereotype: their entropy against the default''s and against the people''s, over the same questions.';
COMMENT ON COLUMN similarity.condition_entropy.source IS 'Survey source.';
COMMENT ON COLUMN similarity.condition_entropy.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.condition_entropy.condition IS 'Prompt condition other than default.';
COMMENT ON COLUMN similarity.condition_entropy.country IS 'ISO 3166 code: the questions asked there, and the entropy of its people. Empty: each question once, without people.';
COMMENT ON COLUMN similarity.condition_entropy.sample_type IS 'national, non_national, old_national or current_national; never merged. Empty where country is.';
COMMENT ON COLUMN similarity.condition_entropy.is_target IS 'Whether the condition speaks for this country, as in similarity.condition_effect.';
COMMENT ON COLUMN similarity.condition_entropy.comparison IS 'condition_default, condition_human or default_human: whose mean A, whose mean B.';
COMMENT ON COLUMN similarity.condition_entropy.base IS 'Base of the logarithm: e, so entropies are in nats.';
COMMENT ON COLUMN similarity.condition_entropy.mean_a IS 'Mean entropy of the first: answers under the condition, or under default.';
COMMENT ON COLUMN similarity.condition_entropy.mean_b IS 'Mean entropy of the second: answers under default, or the country''s people.';
COMMENT ON COLUMN similarity.condition_entropy.n_questions IS 'Questions that both have a distribution for.';
COMMENT ON COLUMN similarity.condition_entropy.difference IS 'mean_a - mean_b; negative: the first are less varied.';
COMMENT ON COLUMN similarity.condition_entropy.ci_low IS 'Lower end of the bootstrap interval of the difference, questions resampled; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.condition_entropy.ci_high IS 'Upper end of the bootstrap interval of the difference, questions resampled; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.condition_entropy.interval IS 'percentile or bca.';
COMMENT ON COLUMN similarity.condition_entropy.confidence IS 'Nominal coverage of the interval, e.g. 0.95.';
COMMENT ON COLUMN similarity.condition_entropy.p_value IS 'Two-sided p value of difference = 0 by random sign flips of whole questions; at least 1 / (n_permutations + 1). NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.condition_entropy.p_holm IS 'p value corrected by Holm over the countries of one condition and comparison.';
COMMENT ON COLUMN similarity.condition_entropy.p_bh IS 'p value corrected by Benjamini-Hochberg over the countries of one condition and comparison.';
COMMENT ON COLUMN similarity.condition_entropy.n_resamples IS 'Bootstrap resamples behind the interval.';
COMMENT ON COLUMN similarity.condition_entropy.n_permutations IS 'Sign patterns behind the p value.';
COMMENT ON COLUMN similarity.condition_entropy.seed IS 'Seed of resamples and sign patterns.';
