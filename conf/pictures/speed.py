"""Draws speed.svg, the second picture of the README, from the results of the benchmark.

    python3 conf/pictures/speed.py tests/bench/results/results.json > conf/pictures/speed.svg
"""
import json
import sys

import picture

LEFT, TOP, ROW, BAR, SCALE_WIDTH, WIDTH = 290, 84, 40, 13, 470, 860
# Cases of tests/bench/bench.py, how a visitor would name them, and the reference in each.
ROWS = [("echo, 1 flow, depth 256", "echo, 1 client", "r1"),
        ("echo, 500 flows, depth 1", "echo, 500 clients in turn", "r1"),
        ("echo, trains of 50", "echo, trains of 50 (GSO)", "r1"),
        ("forward to 4 peers, one by one", "copies to 4 peers", "fanout"),
        ("relay, 1 flow, depth 16", "relay, 1 client", "nginx"),
        ("relay, 200 flows, depth 16", "relay, 200 busy clients", "nginx"),
        ("relay, 200 flows, depth 1", "relay, 200 clients in turn", "nginx")]
NAMES = {"r1": "recvfrom + sendto", "fanout": "recvfrom + 4 sendto", "nginx": "nginx stream"}


def draw(results):
    rows = [(words, kind, next(row["medians"] for row in results["rows"] if row["case"] == case))
            for case, words, kind in ROWS]
    longest = max(max(medians["udprelayd"], medians[kind]) for _, kind, medians in rows)
    drawing = picture.Picture(WIDTH, TOP + ROW * len(rows) + 16, "CPU time per datagram",
                              "Bars: CPU time per datagram of udprelayd and of a reference server, from one run.")
    drawing.text(24, 30, "CPU time per datagram in µs, system calls included (shorter is better)", size=15, weight="bold")
    for x, colour, words in (24, "main", "udprelayd"), (140, "other", "plain socket loop, or nginx stream for relays"):
        drawing.rectangle(x, 45, 12, 12, colour)
        drawing.text(x + 18, 56, words, "muted", 12)
    for i, (words, kind, medians) in enumerate(rows):
        y = TOP + ROW * i
        drawing.text(LEFT - 12, y + 12, words, anchor="end", weight="bold")
        drawing.text(LEFT - 12, y + 27, f"against {NAMES[kind]}", "muted", 11, "end")
        for top, colour, value in (y, "main", medians["udprelayd"]), (y + BAR + 2, "other", medians[kind]):
            width = value / longest * SCALE_WIDTH
            drawing.rectangle(LEFT, top, round(width, 1), BAR, colour)
            drawing.text(round(LEFT + width + 6, 1), top + 11, f"{value:.2f}", size=11)
    return drawing.svg()


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.stdout.write(draw(json.load(file)))
