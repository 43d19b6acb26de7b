"""Read a .sav file in a process of its own: ``python -m opinion_assets.surveys.sav_process <file> <result>``.

The C library behind pyreadstat can crash on a damaged file; here that ends this process only, and `microdata` says so.
The result is a pickle of (frame, variable labels, value labels) for the process that started this one.
"""

import pickle
import sys
from pathlib import Path

import pyreadstat


def main(file: str, result: str) -> None:
    """Exit code 0 and the result file, or exit code 2 and the error as one line."""
    try:
        frame, meta = pyreadstat.read_sav(file, user_missing=True)
    except (ValueError, OSError, OverflowError, pyreadstat.ReadstatError, pyreadstat.PyreadstatError) as error:
        sys.stderr.write((str(error).splitlines() or ["?"])[0])
        sys.exit(2)
    labels = {name: label for name, label in meta.column_names_to_labels.items() if label}
    with Path(result).open("wb") as out:
        pickle.dump((frame, labels, meta.variable_value_labels), out, protocol=5)


if __name__ == "__main__":
    main(*sys.argv[1:])
