"""The benchmarks of the laws as a table: reads JSON of pytest-benchmark, writes Markdown to stdout."""

import json
import sys
from pathlib import Path

HEAD = """# Densities of generalized Marchenko-Pastur laws: time and accuracy

Made, in one run on one thread, by

```sh
pip install --editable ".[bench]"
OMP_NUM_THREADS=1 python -m pytest benchmarks/test_laws.py --benchmark-json build/laws.json
python benchmarks/table.py build/laws.json > docs/laws-benchmarks.md
```

Times include set-up (edges, starting table, panels) and are the least processor times of many runs. The rivals are
the fastest forms that we know: companion matrices of the polynomial in u = -1/m, real and batched over the points, and
the textbook iteration m ← F(m) at Im z = 1e-6. *error* is the largest relative error of rmtfl at points of each case,
against certified roots to 50 digits (for 1000 atoms: its own certified bound on all of them); a rival *fails* where it
is off by more than 1e-6 of the density's peak.

| case | rival | rmtfl / ms | rival / ms | times faster | wanted | error | rival fails |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"""

PACKAGES = """
freealg and scikit-rmt are measured where they are installed (`pip install freealg`; scikit-rmt 2.1.1 needs numpy < 2
and a scipy that still has `scipy.misc.derivative`, and so an environment of its own). freealg takes the density at
z = x + iη by Newton's method; its own η is 1e-3.

| family, 20 populations | freealg off by > 1e-3 of the peak | the same, η = 1e-8 | wrong number of intervals |
| --- | ---: | ---: | ---: |"""


def line(info):
    """One case as a line of the table."""
    cells = [info["case"], info.get("rival", "")]
    cells += [f"{1e3 * info[key]:.3g}" if key in info else "" for key in ("seconds", "rival_seconds")]
    wanted = f"{info['wanted']:g}" if "wanted" in info else ""
    if "wanted_seconds" in info:
        wanted = f"{1e3 * info['wanted_seconds']:g} ms"
    ratio = f"{info['ratio']:.{0 if info['ratio'] > 10 else 1}f}" if "ratio" in info else ""
    cells += [ratio, wanted, f"{info['error']:.0e}"]
    cells += [f"{info['rival_failures']:.1%}" if "rival_failures" in info else ""]
    return f"| {' | '.join(cells)} |"


def missed(info):
    """Whether a case is slower than is wanted of it."""
    return info.get("ratio", 1e9) < info.get("wanted", 0) or info["seconds"] > info.get("wanted_seconds", 1e9)


def main():
    """Print the tables of the files named on the command line: the cases of all of them."""
    documents = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    document = documents[0]
    found = [entry["extra_info"] for one in documents for entry in one["benchmarks"]]
    cases = [info for info in found if "case" in info]
    print(HEAD, *map(line, cases), sep="\n")
    print(PACKAGES)
    for info in found:
        if "family" in info:
            counts = [*info["off"], info["structure"]]
            shares = [f"{count / info['populations']:.0%}" for count in counts]
            print(f"| {info['family']} | {' | '.join(shares)} |")
    print(f"\nProcessor: {document['machine_info']['cpu']['brand_raw']}, shared with other work while this ran.")
    slow = [f"{info['case']} ({info['rival']})" if "rival" in info else info["case"] for info in cases if missed(info)]
    print(f"\nSlower than wanted: {'; '.join(slow) or 'none'}.")


if __name__ == "__main__":
    main()
