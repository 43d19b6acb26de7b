-- The answers of whole countries, one row a distribution; `place` numbers them, and sql/report/value.sql refers to it.
CREATE OR REPLACE TEMP TABLE human AS
SELECT row_number() OVER (ORDER BY source, question_id, country, sample_type, country_label, wave) - 1 AS place, *
FROM (
    SELECT
        source, question_id, wave, is_latest_wave, country_label, country, sample_type, any_value(n) AS n,
        list(share ORDER BY option_index) AS share
    FROM question.human_distribution
    WHERE group_by = ''
    GROUP BY source, question_id, wave, is_latest_wave, country_label, country, sample_type
);

SELECT * FROM human ORDER BY place;
