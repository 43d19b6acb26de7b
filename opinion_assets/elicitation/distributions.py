"""Answer distributions: what a model's answers say about each question.

Belongs here: the arithmetic from ``response.answer`` to ``response.distribution``. Does not belong here: similarity to
people's answers (``metrics``).
"""

import numpy as np
import pandas as pd

from opinion_assets.errors import InputError

COLUMNS = [
    "model_version",
    "condition",
    "question_id",
    "option_index",
    "probability",
    "method",
    "n_orders",
    "n_answers",
    "n_invalid",
    "letter_mass",
    "order_effect",
]


def distributions(answers: pd.DataFrame, options: pd.DataFrame) -> pd.DataFrame:
    """One row per model version, condition, question and option, in the columns of ``response.distribution``.

    ``answers``: rows of ``response.answer``; ``options``: rows of ``question.option`` for their questions.

    An answer with log-probabilities gives the distribution exp(l_i) / Σ exp(l_j) over its question's options; a
    sampled answer gives 1 to its option. Answers are averaged within each option order, and the orders' averages with
    equal weight: p = mean over orders of p_order. ``order_effect`` is the mean over orders of the total variation
    distance ½ Σ |p_order − p|, 0 to 1, NULL with one order; for few samples an order it includes sampling noise.
    ``letter_mass`` is the mean over the answers; NULL where none has one.

    Failed answers do not count. A question without any valid answer gets no rows: compare the questions of
    ``answers`` with those of the result. Raises :class:`InputError` where an answer's number of options differs from
    the question's, where a question is unknown, and where a question was asked by two methods.
    """
    given = answers[answers["status"] != "failed"]
    if given.empty:
        return pd.DataFrame(columns=COLUMNS)
    keys = ["model_version", "condition", "question_id"]
    groups = given.groupby(keys, sort=True, dropna=False).ngroup().to_numpy()
    head = given.assign(_group=groups).drop_duplicates("_group").sort_values("_group")
    several = given.assign(_group=groups).groupby("_group")["method"].nunique()
    if (several > 1).any():
        name = head["question_id"].iloc[int(np.argmax(several.to_numpy() > 1))]
        raise InputError("was asked by more than one method; a distribution cannot mix them", question=name)

    n_by_question = options.groupby("question_id").size()
    unknown = ~head["question_id"].isin(n_by_question.index)
    if unknown.any():
        raise InputError("answered, but has no options", question=head.loc[unknown, "question_id"].iloc[0])
    n_options = n_by_question.reindex(head["question_id"]).to_numpy().astype(np.int64)
    orders = given["option_order"].map(tuple)
    lengths = orders.map(len).to_numpy()
    wrong = lengths != n_options[groups]
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InputError(
            f"an answer orders {lengths[first]} options, the question has {n_options[groups[first]]}",
            question=given["question_id"].iloc[first],
        )

    valid = (given["status"] == "ok").to_numpy()
    n_invalid = np.bincount(groups[~valid], minlength=len(head))
    good = given[valid]
    group = groups[valid]
    # Flat array of the n_options probabilities of each valid answer, and where each answer's stretch begins.
    size = n_options[group]
    ends = np.cumsum(size)
    flat = np.zeros(int(ends[-1]) if len(ends) else 0)
    starts = ends - size
    answer_of = np.repeat(np.arange(len(good)), size)
    option_of = np.arange(len(flat)) - starts[answer_of]
    by_logprob = good["option_logprobs"].map(lambda value: isinstance(value, (list, tuple, np.ndarray))).to_numpy()
    if by_logprob.any():
        lists = good.loc[by_logprob, "option_logprobs"]
        wrong = lists.map(len).to_numpy() != size[by_logprob]
        if wrong.any():
            bad = lists.index[int(np.argmax(wrong))]
            raise InputError(
                f"an answer has {len(lists[bad])} log-probabilities, not one per option",
                question=good.loc[bad, "question_id"] if good.index.is_unique else None,
            )
        flat[by_logprob[answer_of]] = np.exp(np.concatenate([np.asarray(row, dtype=float) for row in lists]))
    if not by_logprob.all():
        chosen = good.loc[~by_logprob, "answer_index"].to_numpy(dtype=float)
        if np.isnan(chosen).any() or (chosen < 0).any() or (chosen >= size[~by_logprob]).any():
            raise InputError("a valid answer has neither log-probabilities nor the index of an option")
        flat[starts[~by_logprob] + chosen.astype(np.int64)] = 1.0
    totals = np.add.reduceat(flat, starts) if len(flat) else np.zeros(0)
    if not (totals > 0).all() or not np.isfinite(totals).all():
        first = int(np.argmax(~((totals > 0) & np.isfinite(totals))))
        raise InputError("a valid answer has no probability on any option", question=good["question_id"].iloc[first])
    flat /= totals[answer_of]

    # Mean within each (question, order), then over the orders of each question.
    order_codes = pd.factorize(orders[valid])[0]
    cells, cell = np.unique(np.stack([group, order_codes]), axis=1, return_inverse=True)
    cell = np.asarray(cell).reshape(-1)
    cell_group = cells[0]
    cell_size = n_options[cell_group]
    cell_start = np.cumsum(cell_size) - cell_size
    answers_in_cell = np.bincount(cell, minlength=len(cell_group))
    summed = np.bincount(cell_start[cell[answer_of]] + option_of, weights=flat, minlength=int(cell_size.sum()))
    by_cell = summed / np.repeat(answers_in_cell, cell_size)
    option_in_cell = np.arange(len(by_cell)) - np.repeat(cell_start, cell_size)

    start = np.cumsum(n_options) - n_options
    n_orders = np.bincount(cell_group, minlength=len(head))
    place = np.repeat(start[cell_group], cell_size) + option_in_cell
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, weights=by_cell, minlength=int(n_options.sum())) / np.repeat(n_orders, n_options)
    distance = np.bincount(
        np.repeat(cell_group, cell_size), weights=0.5 * np.abs(by_cell - mean[place]), minlength=len(head)
    )

    n_answers = np.bincount(group, minlength=len(head))
    mass = good["letter_mass"].to_numpy(dtype=float)
    has_mass = ~np.isnan(mass)
    with np.errstate(invalid="ignore", divide="ignore"):
        order_effect = np.where(n_orders > 1, distance / n_orders, np.nan)
        letter_mass = np.bincount(group[has_mass], weights=mass[has_mass], minlength=len(head)) / np.bincount(
            group[has_mass], minlength=len(head)
        )
    row = np.repeat(np.arange(len(head)), n_options)
    result = head[[*keys, "method"]].iloc[row].reset_index(drop=True)
    result["option_index"] = np.arange(len(row)) - start[row]
    result["probability"] = mean
    for name, values in (
        ("n_orders", n_orders),
        ("n_answers", n_answers),
        ("n_invalid", n_invalid),
        ("letter_mass", letter_mass),
        ("order_effect", order_effect),
    ):
        result[name] = values[row]
    return result.loc[n_answers[row] > 0, COLUMNS].reset_index(drop=True)
