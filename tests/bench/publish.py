"""Writes the results of the benchmark into the documentation.

    publish.py            after a change of the documentation: from tests/bench/results/results.json

`ninja bench-results` calls it with new results. It writes the table of tests/bench/README.md, and the sentence and the
picture of the section "Speed" of README.md."""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results" / "results.json"
sys.path.insert(0, str(ROOT / "conf" / "pictures"))
import speed  # noqa: E402, pylint: disable=wrong-import-position


def goal_text(goal):
    reference, ratio = goal["reference"], goal["ratio"]
    if isinstance(reference, float):
        return f"at most {reference:g}" + ("" if ratio <= goal["goal"] else ": **missed**")
    return f"{ratio:.3f} × {reference}, goal {goal['goal']:g}" + ("" if ratio <= goal["goal"] else ": **missed**")


def table_row(row):
    ours, *others = row["medians"]
    references = ", ".join(f"{kind} {row['medians'][kind]:.3f} ({row['ratios'][kind]:.3f})" for kind in others)
    return (f"| {row['case']} | {row['medians'][ours]:.3f} | {references or '–'} | "
            f"{'; '.join(goal_text(goal) for goal in row['goals'])} |")


def table(results):
    """The table, with the machine above and the notes below it."""
    return "\n".join([
        f"{results['machine']}. The unit is µs of CPU time per datagram (relay: per round trip), except where the case "
        "names another unit.", "",
        "| case | udprelayd | reference (ratio) | goals |", "|---|---|---|---|", *(table_row(row) for row in results["rows"]),
        "", *([f"- {note}" for note in results["notes"]] or ["No datagram was lost, duplicated or misdelivered."])]) + "\n"


def sentence(results):
    """The sentence of README.md."""
    ratios = {row["case"]: row["ratios"] for row in results["rows"]}
    spread = {kind: sorted(ratios[case][kind] for case, _, reference in speed.ROWS if reference == kind)
              for kind in ("r1", "fanout", "nginx")}
    return (f"Per datagram, an echo costs {spread['r1'][0]:.2f} to {spread['r1'][-1]:.2f} × the CPU time of a plain socket "
            f"loop, four copies cost {spread['fanout'][0]:.2f} ×, and a relay costs {spread['nginx'][0]:.2f} to "
            f"{spread['nginx'][-1]:.2f} × nginx.\n")


def replace(path, mark, text):
    """Puts text between the marks of that name."""
    begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->\n"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{path}: the lines {begin.strip()} and {end.strip()} are missing")
    path.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


def missing(results):
    """The cases of the picture that have no complete result, for example because nginx is not installed."""
    ratios = {row["case"]: row["ratios"] for row in results["rows"]}
    return [case for case, _, kind in speed.ROWS if kind not in ratios.get(case, {})]


def publish(results):
    if missing(results):
        sys.exit("not published, because these cases were not measured: " + "; ".join(missing(results)))
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    replace(HERE / "README.md", "results", table(results))
    replace(ROOT / "README.md", "speed", sentence(results))
    (ROOT / "conf" / "pictures" / "speed.svg").write_text(speed.draw(results), encoding="utf-8")


if __name__ == "__main__":
    publish(json.loads(RESULTS.read_text(encoding="utf-8")))
