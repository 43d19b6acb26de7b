-- Name and world region of every country code that a survey source has.
SELECT country, any_value(name) AS name, any_value(region) AS region
FROM question.country
GROUP BY country
ORDER BY country;
