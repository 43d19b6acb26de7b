-- A model version's answer distributions under one condition, one row a question.
SELECT
    question_id, list(probability ORDER BY option_index) AS probability, any_value(n_orders) AS n_orders,
    any_value(n_answers) AS n_answers, any_value(n_invalid) AS n_invalid, any_value(letter_mass) AS letter_mass,
    any_value(order_effect) AS order_effect
FROM response.distribution
WHERE model_version = $model_version AND condition = $condition
GROUP BY question_id
ORDER BY question_id;
