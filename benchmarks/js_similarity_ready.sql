-- 1 - Jensen-Shannon distance from the tables of integer_keys.sql.
SELECT
    m, h,
    1 - sqrt(greatest(0, sum(
        CASE WHEN p > 0 THEN p * ln(2 * p / (p + q)) ELSE 0 END
        + CASE WHEN q > 0 THEN q * ln(2 * q / (p + q)) ELSE 0 END
    ) / 2)) AS js_similarity
FROM model JOIN human USING (k)
GROUP BY m, h;
