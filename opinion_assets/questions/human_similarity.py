"""How alike two countries' answers are: the human–human similarity matrix. Pure; no reading, no storing."""

import numpy as np
import pandas as pd

COLUMNS = [
    "source", "country_a", "sample_type_a", "country_b", "sample_type_b", "metric", "base", "mean", "n_questions",
]  # fmt: skip


def human_similarity(human: pd.DataFrame) -> pd.DataFrame:
    """Mean 1 − Jensen–Shannon distance (natural log, Lin 1991) between the answers of each two national samples.

    Takes ``question.human_distribution``, uses the newest wave of whole countries; each pair is compared on the
    questions both were asked. Returns the columns of ``question.human_similarity``, a < b, one row a pair that shares
    a question. Two labels of one country and sample type ('Britain', 'Great Britain') on one question are averaged.
    """
    chosen = human[human["is_latest_wave"] & (human["group_by"] == "")]
    key = ["source", "question_id", "country", "sample_type", "option_index"]
    chosen = chosen.groupby(key, sort=True)["share"].mean().reset_index()
    frames = []
    for source, part in chosen.groupby("source", sort=True):
        places = part[["country", "sample_type"]].drop_duplicates().sort_values(["country", "sample_type"])
        index = {place: number for number, place in enumerate(places.itertuples(index=False, name=None))}
        total = np.zeros((len(index), len(index)))
        count = np.zeros_like(total)
        for _, rows in part.groupby("question_id", sort=False):
            shares = rows.pivot(index=["country", "sample_type"], columns="option_index", values="share")
            p = shares.to_numpy(dtype="float64")
            where = np.array([index[place] for place in shares.index])
            grid = np.ix_(where, where)
            middle = (p[:, None] + p[None]) / 2
            ratio = np.divide(p[:, None], middle, out=np.ones_like(middle), where=(p[:, None] > 0) & (middle > 0))
            left = (p[:, None] * np.log(ratio)).sum(axis=2)
            divergence = np.clip((left + left.T) / 2, 0, None)
            total[grid] += 1 - np.sqrt(divergence)
            count[grid] += 1
        a, b = np.nonzero(np.triu(count, k=1))
        codes, kinds = (places[column].to_numpy() for column in ("country", "sample_type"))
        frames.append(
            pd.DataFrame(
                {
                    "source": source, "country_a": codes[a], "sample_type_a": kinds[a], "country_b": codes[b],
                    "sample_type_b": kinds[b], "metric": "js_similarity", "base": "e",
                    "mean": total[a, b] / count[a, b], "n_questions": count[a, b].astype("int64"),
                }
            )
        )  # fmt: skip
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)
