-- Beside each model version and condition: how it was asked, how many answers were invalid, what it cost.
WITH asked AS (
    SELECT
        model_version, condition, any_value(method) AS method, count(DISTINCT question_id) AS n_questions,
        count(*) AS n_answers, avg((status = 'invalid')::INTEGER) AS invalid_rate,
        avg((status = 'failed')::INTEGER) AS failed_rate, sum(cost_usd) AS cost_usd,
        min(requested_at) AS first_request, max(requested_at) AS last_request,
        list_sort(list(DISTINCT model_reported)) AS model_reported
    FROM response.answer
    GROUP BY model_version, condition
),
given AS (
    SELECT
        model_version, condition, count(DISTINCT question_id) AS n_answered,
        avg(letter_mass) FILTER (option_index = 0) AS letter_mass,
        avg(order_effect) FILTER (option_index = 0) AS order_effect, max(n_orders) AS n_orders
    FROM response.distribution
    GROUP BY model_version, condition
)
SELECT
    model_version, condition, method, n_questions, coalesce(n_answered, 0) AS n_answered, n_answers, invalid_rate,
    failed_rate, cost_usd, letter_mass, order_effect, n_orders, model_reported,
    strftime(first_request, '%Y-%m-%d %H:%M UTC') AS first_request,
    strftime(last_request, '%Y-%m-%d %H:%M UTC') AS last_request
FROM asked
LEFT JOIN given USING (model_version, condition)
ORDER BY model_version, condition;
