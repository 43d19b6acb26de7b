"""Kinds of malformed input, over all sources: each has its error, naming the place, or its documented handling.

Belongs here: what files can be like. How good files are read is tested source by source. docs/sources.md states the
number of kinds and lists how those are handled that are no error; a test holds it to that.
"""

import gzip
import random
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opinion_assets.errors import InputError
from opinion_assets.surveys import contract
from opinion_assets.surveys.base import SurveyData
from opinion_assets.surveys.registry import load_source

DOCS = Path(__file__).parents[2] / "docs" / "sources.md"
Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Kind:
    """A kind of malformed input: how to make the file, and what the error says (regular expression)."""

    name: str
    source: str
    make: Make
    error: str


def file(name: str, content: str | bytes, **others: str | bytes) -> Make:
    """A file of that content, and others beside it (their dots written as __)."""

    def make(folder: Path) -> Path:
        for other, text in {name: content, **{k.replace("__", "."): v for k, v in others.items()}}.items():
            (folder / other).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder / name

    return make


# ---------------------------------------------------------------- GlobalOpinionQA

SELECTIONS = "defaultdict(<class 'list'>, {'Turkey': [0.6, 0.4], 'Kenya': [0.25, 0.75]})"


def release(
    selections: object = SELECTIONS, options: object = "['Yes', 'No']", question: object = "Is it good?", n: int = 1
) -> bytes:
    row = {"question": question, "selections": selections, "options": options, "source": "GAS"}
    return pd.DataFrame([row] * n).to_csv(index=False).encode()


def goqa(**changes: object) -> Make:
    return file("file.csv", release(**changes))  # type: ignore[arg-type]


def turkey(shares: str) -> Make:
    return goqa(selections=SELECTIONS.replace("[0.6, 0.4]", shares))


def parquet(**columns: list[object]) -> Make:
    def make(folder: Path) -> Path:
        pd.DataFrame(columns).to_parquet(folder / "file.parquet")
        return folder / "file.parquet"

    return make


PLACE = r"file file\.csv, row 1, question 'Is it good\?', field "
IN_TURKEY = PLACE + r"'selections\[Turkey\]': "
GOQA = [
    Kind("empty file", "global_opinion_qa", file("file.csv", ""), "file file.csv: is empty"),
    Kind("white space only", "global_opinion_qa", file("file.csv", " \n\n"), "file file.csv: is empty"),
    Kind("header only", "global_opinion_qa", file("file.csv", "question,selections,options\n"), "there are no rows"),
    Kind(
        "stray carriage return in the header",
        "global_opinion_qa",
        file("file.csv", "question,sel\rections,options\n1,2,3\n"),
        "file file.csv, row 0: has a malformed header",
    ),
    Kind("column missing", "global_opinion_qa", file("file.csv", "question,options\na,b\n"), "column 'selections' is"),
    Kind(
        "column twice",
        "global_opinion_qa",
        file("file.csv", "question,selections,options,options\n1,2,3,4\n"),
        "file file.csv, row 0, field 'options': column stands twice",
    ),
    Kind(
        "column without a name",
        "global_opinion_qa",
        file("file.csv", "question,,selections,options\n1,2,3,4\n"),
        "column 2 has no name",
    ),
    Kind(
        "truncated gzip",
        "global_opinion_qa",
        file("file.csv.gz", gzip.compress(release(n=50))[:60]),
        r"file file\.csv\.gz: cannot be read as gzip, is cut off",
    ),
    Kind(
        "damaged gzip",
        "global_opinion_qa",
        file("file.csv.gz", (lambda b: b[:30] + bytes([b[30] ^ 255]) + b[31:])(gzip.compress(release(n=50)))),
        r"file file\.csv\.gz: cannot be read as gzip",
    ),
    Kind("gzip in name only", "global_opinion_qa", file("file.csv.gz", release()), r"file\.csv\.gz: cannot be read as"),
    Kind(
        "truncated csv",
        "global_opinion_qa",
        file("file.csv", release()[:80]),
        r"file file\.csv, row \d+: is cut off or malformed",
    ),
    Kind(
        "wrong encoding",
        "global_opinion_qa",
        file("file.csv", release(question="Is it goöd?").decode().encode("latin-1")),
        r"file file\.csv, row 1: is not UTF-8: byte 0xf6",
    ),
    Kind("UTF-16", "global_opinion_qa", file("file.csv", release().decode().encode("utf-16")), "row 0: is not UTF-8"),
    Kind("NUL characters", "global_opinion_qa", goqa(question="Is\0it?"), "row 1: holds a NUL"),
    Kind(
        "a row too long",
        "global_opinion_qa",
        file("file.csv", "question,selections,options\na,b,c,d\n"),
        "row 1: cannot be read: Expected 3 columns, got 4",
    ),
    Kind(
        "a row too short",
        "global_opinion_qa",
        file("file.csv", "question,selections,options\na,b\n"),
        "row 1: cannot be read: Expected 3 columns, got 2",
    ),
    Kind(
        "semicolons for commas",
        "global_opinion_qa",
        file("file.csv", "question;selections;options\na;b;c\n"),
        "column 'options' is missing",
    ),
    Kind("parquet of another schema", "global_opinion_qa", parquet(a=[1]), r"file\.parquet: column 'options' is"),
    Kind(
        "parquet in name only", "global_opinion_qa", file("file.parquet", release()), r"file\.parquet: cannot be read"
    ),
    Kind(
        "parquet with options of other types",
        "global_opinion_qa",
        parquet(question=["Q"], selections=[SELECTIONS], options=[[True, False]]),
        "field 'options': needs options",
    ),
    Kind(
        "parquet with null selections",
        "global_opinion_qa",
        parquet(question=["Q", "R"], selections=[SELECTIONS, None], options=["['Yes', 'No']"] * 2),
        "row 2, question 'R', field 'selections': is not the text",
    ),
    Kind("sum of 0.3", "global_opinion_qa", turkey("[0.1, 0.2]"), IN_TURKEY + r"sums to 0\.3 instead of 1"),
    Kind("sum of 0", "global_opinion_qa", turkey("[0, 0]"), IN_TURKEY + "sums to 0"),
    Kind("percentages", "global_opinion_qa", turkey("[60, 40]"), IN_TURKEY + "sums to 100"),
    Kind("too few shares", "global_opinion_qa", turkey("[1.0]"), IN_TURKEY + "has 1 shares for 2 options"),
    Kind("too many shares", "global_opinion_qa", turkey("[0.2, 0.3, 0.5]"), IN_TURKEY + "has 3 shares for 2"),
    Kind("no shares", "global_opinion_qa", turkey("[]"), IN_TURKEY + "has 0 shares"),
    Kind("negative share", "global_opinion_qa", turkey("[-0.1, 1.1]"), IN_TURKEY + "has a share that is negative"),
    Kind("NaN", "global_opinion_qa", turkey("[nan, 1]"), PLACE + "'selections': is not the text of a dict"),
    Kind("infinity", "global_opinion_qa", turkey("[1e999, 0.4]"), IN_TURKEY + "has a share that is negative or not"),
    Kind(
        "huge integer", "global_opinion_qa", turkey(f"[{'9' * 400}, 0]"), IN_TURKEY + "has a share that is not finite"
    ),
    Kind("integer of 5000 digits", "global_opinion_qa", turkey(f"[{'9' * 5000}, 0]"), PLACE + "'selections': is not"),
    Kind("text for a share", "global_opinion_qa", turkey("['0.6', 0.4]"), IN_TURKEY + "has a share that is no number"),
    Kind("True for a share", "global_opinion_qa", turkey("[True, False]"), IN_TURKEY + "has a share that is no number"),
    Kind("None for a share", "global_opinion_qa", turkey("[None, 1]"), IN_TURKEY + "has a share that is no number"),
    Kind("complex number", "global_opinion_qa", turkey("[1j, 1]"), IN_TURKEY + "has a share that is no number"),
    Kind("nested shares", "global_opinion_qa", turkey("[[0.6], [0.4]]"), IN_TURKEY + "has a share that is no number"),
    Kind("number for a list", "global_opinion_qa", turkey("1"), IN_TURKEY + "is not a country with a list of shares"),
    Kind(
        "number for a country",
        "global_opinion_qa",
        goqa(selections=SELECTIONS.replace("'Turkey'", "7")),
        r"selections\[7\]': is not a country",
    ),
    Kind(
        "country twice in a row",
        "global_opinion_qa",
        goqa(selections=SELECTIONS.replace("Kenya", "Turkey")),
        PLACE + "'selections': has 'Turkey' twice",
    ),
    Kind(
        "Python expression",
        "global_opinion_qa",
        goqa(selections="__import__('os').system('touch owned')"),
        PLACE + "'selections': is not the text of defaultdict",
    ),
    Kind(
        "Python expression inside",
        "global_opinion_qa",
        turkey("__import__('os').getcwd()"),
        PLACE + "'selections': is not the text of a dict",
    ),
    Kind(
        "dictionary unpacking",
        "global_opinion_qa",
        goqa(selections=SELECTIONS.replace("'Kenya':", "**{}, 'Kenya':")),
        PLACE + "'selections': is not the text of a dict",
    ),
    Kind("deep nesting", "global_opinion_qa", turkey("[" * 5000 + "]" * 5000), PLACE + "'selections': is not the text"),
    Kind("unclosed bracket", "global_opinion_qa", turkey("[0.6, 0.4"), PLACE + "'selections': is not the text"),
    Kind(
        "JSON for a defaultdict",
        "global_opinion_qa",
        goqa(selections='{"Turkey": [0.6, 0.4]}'),
        "is not the text of def",
    ),
    Kind("no selections", "global_opinion_qa", goqa(selections=""), PLACE + "'selections': is not the text"),
    Kind("option twice", "global_opinion_qa", goqa(options="['Yes', 'Yes']"), PLACE + "'options': needs two or more"),
    Kind("empty option", "global_opinion_qa", goqa(options="['Yes', ' ']"), PLACE + "'options': .*none of them empty"),
    Kind("one option", "global_opinion_qa", goqa(options="['Yes']"), PLACE + "'options': needs two or more"),
    Kind(
        "expression for options", "global_opinion_qa", goqa(options="open('/etc/passwd')"), "'options': is not the text"
    ),
    Kind(
        "options that are not a list",
        "global_opinion_qa",
        goqa(options="{'Yes': 1}"),
        "'options': is not the text of a l",
    ),
    Kind("question twice", "global_opinion_qa", goqa(n=2), r"row 2, question 'Is it good\?': repeats row 1"),
]

# ---------------------------------------------------------------- a researcher's own questions

HEAD = "name,question,option,country,share\n"


def mine(text: str) -> Make:
    return file("mine.csv", text)


def listed(text: str) -> Make:
    return file("mine.yaml", text)


def item(more: str) -> Make:
    return listed("questions:\n- name: q\n  text: T\n" + more)


Q = r"file mine\.yaml, row 1, question 'q', field "
CUSTOM = [
    Kind(
        "shares of text", "custom", mine(HEAD + "q,Q,a,Kenya,half\nq,Q,b,Kenya,0.5\n"), "has a share that is no number"
    ),
    Kind(
        "own sum of 0.3",
        "custom",
        mine(HEAD + "q,Q,a,Kenya,0.1\nq,Q,b,Kenya,0.2\n"),
        r"row 1, question 'q', field 'share\[Kenya\]': sums to 0\.3",
    ),
    Kind("own NaN", "custom", mine(HEAD + "q,Q,a,Kenya,nan\nq,Q,b,Kenya,1\n"), "negative, missing or not finite"),
    Kind("own infinity", "custom", mine(HEAD + "q,Q,a,Kenya,inf\nq,Q,b,Kenya,1\n"), "negative, missing or not finite"),
    Kind("share missing", "custom", mine(HEAD + "q,Q,a,Kenya,\nq,Q,b,Kenya,1\n"), "has a share that is no number"),
    Kind(
        "option missing for one country",
        "custom",
        mine(HEAD + "q,Q,a,Chad,0.5\nq,Q,b,Chad,0.5\nq,Q,c,Kenya,1\n"),
        r"share\[Chad\]': has 2 shares for 3 options",
    ),
    Kind("share given twice", "custom", mine(HEAD + "q,Q,a,Kenya,1\nq,Q,a,Kenya,1\n"), "row 2.* Kenya has two shares"),
    Kind("texts that differ", "custom", mine(HEAD + "q,Q,a,Kenya,1\nq,R,b,Kenya,0\n"), "row 2.* is another text"),
    Kind("nameless question", "custom", mine("name,question,option\n,Q,a\n,Q,b\n"), "row 1, question '', field 'name'"),
    Kind("question without text", "custom", mine("name,question,option\nq, ,a\nq, ,b\n"), "field 'text': is empty"),
    Kind(
        "question repeated under two names",
        "custom",
        mine("name,question,option\nq,Q,a\nq,Q,b\nr,Q,a\nr,Q,b\n"),
        "question 'r': stands twice",
    ),
    Kind(
        "unknown column", "custom", mine("name,question,option,colour\nq,Q,a,b\n"), "field 'colour': is not a known col"
    ),
    Kind("shares without a country", "custom", mine("name,question,option,share\nq,Q,a,1\n"), "need both columns"),
    Kind(
        "n of 0",
        "custom",
        mine("name,question,option,country,share,n\nq,Q,a,Kenya,1,0\n"),
        "row 1.*field 'n': is not a",
    ),
    Kind(
        "n beyond all people",
        "custom",
        mine(f"name,question,option,country,share,n\nq,Q,a,Kenya,1,{'9' * 30}\n"),
        "field 'n': is not a whole number from 1 to",
    ),
    Kind(
        "ordinal that is neither",
        "custom",
        mine("name,question,option,ordinal\nq,Q,a,maybe\n"),
        "field 'ordinal': must",
    ),
    Kind("YAML cut off", "custom", listed("questions: [{name: q"), r"file mine\.yaml, row 1: is not YAML"),
    Kind(
        "YAML in another encoding",
        "custom",
        file("mine.yaml", "questions:\n- name: ö\n".encode("latin-1")),
        r"row \d: is not UTF-8: byte 0xf6",
    ),
    Kind(
        "YAML tag that calls Python",
        "custom",
        listed("!!python/object/apply:os.getcwd []"),
        "could not determine a con",
    ),
    Kind(
        "YAML alias bomb",
        "custom",
        listed("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nquestions: *c\n"),
        "row 2: .*anchors and aliases",
    ),
    Kind("YAML key twice", "custom", item("  text: U\n  options: [a, b]\n"), r"row 4: .*key 'text' stands twice"),
    Kind("YAML nested deeply", "custom", listed("questions: " + "[" * 3000), "nests too deeply"),
    Kind("YAML with tabs", "custom", listed("questions:\n\t- name: q\n"), "row 2: is not YAML"),
    Kind("YAML that is a list", "custom", listed("- 1\n"), "field 'questions': needs a list of questions"),
    Kind("YAML that is empty", "custom", listed(""), "needs a list of questions"),
    Kind("no questions", "custom", listed("questions: []"), "there are no questions"),
    Kind("question that is a number", "custom", listed("questions: [1]"), "row 1: is not a question"),
    Kind("unknown field", "custom", item("  options: [a, b]\n  colour: red\n"), Q + "'colour': is not a known field"),
    Kind("options missing", "custom", item(""), Q + "'options': is missing or not a list"),
    Kind("unquoted Yes", "custom", item("  options: [Yes, No]\n"), Q + "'options': True is no text; put Yes"),
    Kind("option that is a list", "custom", item("  options: [[a], b]\n"), Q + r"'options': \['a'\] is no text"),
    Kind(
        "one list for all countries",
        "custom",
        item("  options: [a, b]\n  answers: [1, 0]\n"),
        Q + "'answers': must map",
    ),
    Kind(
        "True for a share in YAML",
        "custom",
        item("  options: [a, b]\n  answers: {Kenya: [true, false]}\n"),
        "has a share that is no number",
    ),
    Kind("topic that is a list", "custom", item("  options: [a, b]\n  topic: [a]\n"), Q + "'topic': must be a text"),
]

# ---------------------------------------------------------------- respondent files

DESCRIBED = """questions:
- variable: Q1
  text: How important is family?
  options: {1: Very, 2: Not very}
"""


def wvs(changes: dict[str, object] | None = None, questions: str = DESCRIBED) -> Make:
    frame = pd.DataFrame(
        {"B_COUNTRY_ALPHA": ["TUR", "TUR", "DEU"], "A_WAVE": 7, "W_WEIGHT": [1.0, 2.0, 1.0], "Q1": [1, 2, -1]}
    ).assign(**(changes or {}))
    return file("wvs.csv", frame.to_csv(index=False), wvs__csv__questions__yaml=questions)


def sav(damage: Callable[[bytes], bytes] = lambda content: content, **changes: object) -> Make:
    def make(folder: Path) -> Path:
        frame = pd.DataFrame({"COUNTRY": [1.0, 1, 2], "weight": [1.0, 3, 1], "Q5": [1.0, 2, 9]}).assign(**changes)
        labels: dict[str, dict[float, str]] = {"COUNTRY": {1: "Britain", 2: "S. Korea"}}
        if "Q5" in frame:
            labels["Q5"] = {1: "Good", 2: "Bad", 9: "DK/Refused"}
        pyreadstat.write_sav(frame, str(folder / "pew.sav"), column_labels={c: f"{c}?" for c in frame},
                             variable_value_labels=labels)  # fmt: skip
        (folder / "pew.sav").write_bytes(damage((folder / "pew.sav").read_bytes()))
        return folder / "pew.sav"

    return make


def opinion_qa(references: str = "['Yes', 'No']", responses: str = "GUN,WEIGHT_W26\nYes,1\nNo,2\n") -> Make:
    info = pd.DataFrame({"key": ["GUN"], "question": ["Own a gun?"], "references": [references]}).to_csv(index=False)
    return file("responses.csv", responses, info__csv=info)


def unweighted_sav(folder: Path) -> Path:
    pyreadstat.write_sav(
        pd.DataFrame({"COUNTRY": [1.0], "Q5": [1.0]}),
        str(folder / "pew.sav"),
        column_labels={"COUNTRY": "Country", "Q5": "Good?"},
        variable_value_labels={"COUNTRY": {1: "Britain"}, "Q5": {1: "Good", 2: "Bad"}},
    )
    return folder / "pew.sav"


IN_WVS = r"file wvs\.csv, row 1, field 'W_WEIGHT': "
MICRODATA = [
    Kind("negative weight", "wvs", wvs({"W_WEIGHT": -1.0}), IN_WVS + "is negative"),
    Kind("infinite weight", "wvs", wvs({"W_WEIGHT": "inf"}), IN_WVS + "is negative, infinite"),
    Kind("weight that is text", "wvs", wvs({"W_WEIGHT": "heavy"}), IN_WVS + "is negative, infinite or no number"),
    Kind("weights all 0", "wvs", wvs({"W_WEIGHT": 0}), r"file wvs\.csv: no respondent has country, wave and weight"),
    Kind("weights all missing", "wvs", wvs({"W_WEIGHT": None}), "no respondent has country, wave and weight"),
    Kind("countries all missing", "wvs", wvs({"B_COUNTRY_ALPHA": None}), "no respondent has country"),
    Kind("code without a text", "wvs", wvs({"Q1": [1, 2, 77]}), r"row 3, field 'Q1': code 77 has no text"),
    Kind("answer that is text", "wvs", wvs({"Q1": "x"}), "row 1, field 'Q1': code 'x' has no text"),
    Kind("nobody answered", "wvs", wvs({"Q1": -4}), "no question has any answer"),
    Kind(
        "weight variable missing",
        "wvs",
        wvs(questions=DESCRIBED + "weight: W9\n"),
        "has no weight variable; expected W9",
    ),
    Kind("country variable missing", "wvs", wvs(questions=DESCRIBED + "country: C9\n"), "has no country variable"),
    Kind(
        "question that is not in the file",
        "wvs",
        wvs(questions=DESCRIBED.replace("Q1", "Q9")),
        "question 'Q9', field 'variable': is not in the file",
    ),
    Kind(
        "code described twice",
        "wvs",
        wvs(questions=DESCRIBED.replace("2: Not", "1: Not")),
        "row 4: .*key 1 stands twice",
    ),
    Kind(
        "two codes of one text",
        "wvs",
        wvs(questions=DESCRIBED.replace("Not very", "Very")),
        "two or more different opt",
    ),
    Kind("code text that is a list", "wvs", wvs(questions=DESCRIBED.replace("Not very", "[a]")), "code 2 is no text"),
    Kind(
        "is_ordinal that is a text",
        "wvs",
        wvs(questions=DESCRIBED + "  is_ordinal: often\n"),
        "field 'is_ordinal': must",
    ),
    Kind(
        "questions file that is a list", "wvs", wvs(questions="- a\n"), r"wvs\.csv\.questions\.yaml, field 'questions'"
    ),
    Kind(
        "groups that are a number", "wvs", wvs(questions=DESCRIBED + "groups: 3\n"), "field 'groups': must map a group"
    ),
    Kind(
        "unknown field of a questions file", "wvs", wvs(questions=DESCRIBED + "colour: red\n"), "field 'colour': is not"
    ),
    Kind(
        "empty text", "wvs", wvs(questions=DESCRIBED.replace("How important is family?", '""')), "row 1, field 'text'"
    ),
    Kind("no options", "wvs", wvs(questions=DESCRIBED.replace("1: Very, 2: Not very", "")), "row 1, field 'options'"),
    Kind(
        "variable described twice",
        "wvs",
        wvs(questions=DESCRIBED + DESCRIBED.partition("\n")[2]),
        "variable stands twice",
    ),
    Kind(
        "one question of two variables",
        "wvs",
        wvs({"Q2": 1}, DESCRIBED + DESCRIBED.partition("\n")[2].replace("Q1", "Q2")),
        "question 'Q2': repeats question Q1",
    ),
    Kind(
        "csv without a description",
        "wvs",
        file("wvs.csv", "Q1,W_WEIGHT\n1,1\n"),
        r"describe them in wvs\.csv\.questions",
    ),
    Kind("no respondents", "wvs", file("wvs.csv", "Q1,W_WEIGHT\n"), r"file wvs\.csv: there are no respondents"),
    Kind("ragged respondents", "wvs", file("wvs.csv", "Q1,W_WEIGHT\n1,1\n1\n"), "row 2: cannot be read: Expected 2"),
    Kind(
        "file of another program", "wvs", file("wvs.dta", "x"), r"file wvs\.dta: is neither \.csv, \.csv\.gz nor \.sav"
    ),
    Kind(".sav in name only", "pew_global_attitudes", file("pew.sav", "a,b\n1,2\n"), r"file pew\.sav: cannot be read"),
    Kind(".sav cut off in its head", "pew_global_attitudes", sav(lambda b: b[:200]), r"file pew\.sav: cannot be read"),
    Kind(".sav cut off in its data", "pew_global_attitudes", sav(lambda b: b[:-40]), r"file pew\.sav: "),
    Kind(".sav that is empty", "pew_global_attitudes", sav(lambda b: b""), r"file pew\.sav: cannot be read"),
    Kind(".sav without a weight", "pew_global_attitudes", unweighted_sav, "has no weight variable"),
    Kind(".sav with a negative weight", "pew_global_attitudes", sav(weight=[1.0, -3, 1]), "row 2, field 'weight'"),
    Kind(
        "no info.csv", "opinion_qa", file("responses.csv", "GUN,WEIGHT_W26\nYes,1\n"), "there is no info.csv beside it"
    ),
    Kind(
        "expression for references",
        "opinion_qa",
        opinion_qa("__import__('os').getcwd()"),
        r"file info\.csv, row 1, field 'references': is not the text of a list",
    ),
    Kind("one reference", "opinion_qa", opinion_qa("['Yes']"), "is not the text of a list of options"),
    Kind("repeated reference", "opinion_qa", opinion_qa("['Yes', 'Yes']"), "repeats an option"),
    Kind("two weight columns", "opinion_qa", opinion_qa(responses="GUN,WEIGHT_W26,WEIGHT_W27\nYes,1,1\n"), "has 2"),
    Kind(
        "answer that is no option",
        "opinion_qa",
        opinion_qa(responses="GUN,WEIGHT_W26\nYes,1\nMaybe,1\n"),
        r"file responses\.csv, row 2, field 'GUN': code 'Maybe' has no text",
    ),
]


def directory(folder: Path) -> Path:
    (folder / "file.csv").mkdir()
    return folder / "file.csv"


ANY = [
    Kind("directory for a file", "global_opinion_qa", directory, "is a directory"),
    Kind("no such file", "custom", lambda folder: folder / "none.csv", r"none\.csv: there is no such file"),
    Kind("file for a source that has none", "wvs_embedded", mine(HEAD), "takes no file"),
]
KINDS = [*GOQA, *CUSTOM, *MICRODATA, *ANY]


@pytest.mark.parametrize("kind", KINDS, ids=[f"{kind.source}: {kind.name}" for kind in KINDS])
def test_is_refused_with_its_place(kind: Kind, tmp_path: Path) -> None:
    folder, data = tmp_path / "input", tmp_path / "data"
    folder.mkdir()
    path = kind.make(folder)
    with pytest.raises(InputError) as caught:
        load_source(kind.source, data_dir=data, path=path)
    message = str(caught.value)
    assert re.search(kind.error, message), message
    assert path.name in message or "info.csv" in message
    assert "\n" not in message
    assert len(message) < 400
    assert not data.exists()
    assert not (folder / "owned").exists()


# ---------------------------------------------------------------- odd, but read as documented


def read(source: str, make: Make, folder: Path) -> SurveyData:
    return load_source(source, data_dir=folder / "data", path=make(folder))


def markup_stays_text(folder: Path) -> None:
    text = "<script>alert(1)</script>'; DROP TABLE question.question; -- {{7*7}} %s ${HOME}"
    assert read("global_opinion_qa", goqa(question=text), folder).question["text"].tolist() == [text]


def byte_order_mark_is_skipped(folder: Path) -> None:
    assert len(read("global_opinion_qa", file("file.csv", b"\xef\xbb\xbf" + release()), folder).question) == 1


def mixed_line_ends_are_read(folder: Path) -> None:
    text = (HEAD + "q,Q,a,Kenya,0.5\nq,Q,b,Kenya,0.5\n").replace("Q,a,Kenya,0.5\n", "Q,a,Kenya,0.5\r\n")
    assert read("custom", mine(text), folder).response["share"].tolist() == [0.5, 0.5]


def blank_lines_are_skipped(folder: Path) -> None:
    text = "\n\n" + HEAD + "q,Q,a,Kenya,0.5\n\nq,Q,b,Kenya,0.5\n\n"
    assert read("custom", mine(text), folder).response["share"].tolist() == [0.5, 0.5]


def rounding_is_divided_out_and_listed(folder: Path) -> None:
    data = read("global_opinion_qa", turkey("[0.6, 0.41]"), folder)
    assert data.response["share"].tolist()[:2] == [0.6 / 1.01, 0.41 / 1.01]
    assert data.dropped[["action", "n"]].values.tolist() == [["normalised", 1]]


def options_missing_is_dropped_and_listed(folder: Path) -> None:
    without = release(options="", question="Other?").splitlines()[1]
    data = read("global_opinion_qa", file("file.csv", release() + without), folder)
    assert data.dropped[["action", "n"]].values.tolist() == [["dropped", 1]]


def text_missing_is_kept_apart_and_listed(folder: Path) -> None:
    data = read("global_opinion_qa", goqa(question=" "), folder)
    assert data.dropped[["action", "n"]].values.tolist() == [["kept_apart", 1]]


def weight_of_0_or_none_is_dropped_and_listed(folder: Path) -> None:
    data = read("wvs", wvs({"W_WEIGHT": [1.0, 0.0, None]}), folder)
    assert data.dropped[["reason", "n"]].values.tolist() == [["respondents with no weight, or a weight of 0", 2]]


def unlabelled_codes_leave_a_variable_out_and_listed(folder: Path) -> None:
    data = read("pew_global_attitudes", sav(Q6=[1.0, 2, 3]), folder)
    assert data.question["source_question"].tolist() == ["Q5"]
    data = read("pew_global_attitudes", sav(Q5=[1.0, 1, 2]), folder)
    assert data.dropped.empty


HANDLED = [
    markup_stays_text, byte_order_mark_is_skipped, mixed_line_ends_are_read, blank_lines_are_skipped,
    rounding_is_divided_out_and_listed,
    options_missing_is_dropped_and_listed, text_missing_is_kept_apart_and_listed,
    weight_of_0_or_none_is_dropped_and_listed, unlabelled_codes_leave_a_variable_out_and_listed,
]  # fmt: skip


@pytest.mark.parametrize("handled", HANDLED, ids=[f.__name__ for f in HANDLED])
def test_is_read_as_documented(handled: Callable[[Path], None], tmp_path: Path) -> None:
    handled(tmp_path)


GOOD = {
    "global_opinion_qa": ("file.csv", release()),
    "custom": ("mine.yaml", (DOCS.parent / "examples" / "questions.yaml").read_bytes()),
    "wvs": ("wvs.csv", b"B_COUNTRY_ALPHA,A_WAVE,W_WEIGHT,Q1\nTUR,7,1.0,1\nTUR,7,2.0,2\nDEU,7,1.0,-1\n"),
}


@pytest.mark.parametrize("source", GOOD)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), cut=st.integers(0, 12), put=st.binary(max_size=6))
def test_any_damage_is_an_input_error_or_still_a_good_file(
    source: str, tmp_path_factory: pytest.TempPathFactory, place: float, cut: int, put: bytes
) -> None:
    name, good = GOOD[source]
    at = int(place * len(good))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / name).write_bytes(good[:at] + put + good[at + cut :])
    (folder / "wvs.csv.questions.yaml").write_text(DESCRIBED)
    # Anything but an InputError ends the test.
    with suppress(InputError):
        contract.check(load_source(source, data_dir=folder / "data", path=folder / name))


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_sav_never_ends_the_program(seed: int, tmp_path: Path) -> None:
    generator = random.Random(seed)

    def damage(content: bytes) -> bytes:
        at = generator.randrange(180, len(content))
        return content[:at] + generator.randbytes(40) + content[at + 40 :]

    with suppress(InputError):
        contract.check(read("pew_global_attitudes", sav(damage), tmp_path))


def test_kinds_are_different_and_counted_in_the_documentation() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert f"{len(KINDS)} kinds of malformed input" in DOCS.read_text(encoding="utf-8")
    assert len(KINDS) >= 60
