"""Draws overview.svg, the first picture of the README.

    python3 conf/pictures/overview.py > conf/pictures/overview.svg
"""
import sys

import picture

LEFT, DAEMON, RIGHT, BOX = 24, 300, 646, 190
LANE, TOP = 84, 58


def lane(drawing, number, client, listener, *peers):
    """One listener: its client, the flow to it, and its peers. A peer is (lines, arrow options)."""
    y = TOP + LANE * number
    middle = y + 28
    drawing.box(LEFT, y, BOX, 56, *client)
    drawing.box(DAEMON + 16, y, 228, 56, *listener)
    for i, (lines, options) in enumerate(peers):
        top = y - 4 + 34 * i
        drawing.box(RIGHT, top, BOX, 28, *lines)
        drawing.arrow(DAEMON + 248, middle + (-6, 6)[i], RIGHT - 4, top + 14, **options)
    return middle


def draw():
    drawing = picture.Picture(860, 392, "What udprelayd does",
                              "Clients send datagrams to three listeners of udprelayd. The first listener sends an echo. The "
                              "second copies to two peers. The third relays to the peer that is up. Records, counters and "
                              "checks come from the same process.")
    for x, words in (LEFT + BOX / 2, "clients"), (DAEMON + 130, "listeners of udprelayd"), (RIGHT + BOX / 2, "peers"):
        drawing.text(x, 30, words, "muted", 14, "middle", "bold")
    drawing.rectangle(DAEMON, 42, 260, 330, "card", "main", radius=8)
    middle = lane(drawing, 0, ("any sender", "tests a network"), ("echo", "reply to the sender"))
    drawing.arrow(LEFT + BOX + 4, middle, DAEMON + 12, middle, both=True)
    middle = lane(drawing, 1, ("sender", "syslog, NetFlow, …"), ("forward", "a copy to each peer"),
                  (("archive",), {}), (("search, as UTF-8",), {}))
    drawing.arrow(LEFT + BOX + 4, middle, DAEMON + 12, middle)
    middle = lane(drawing, 2, ("client", "DNS, game, SNMP, …"), ("relay", "a session for each client"),
                  (("first: down",), {"colour": "bad", "dashed": True}), (("second: up",), {"both": True}))
    drawing.arrow(LEFT + BOX + 4, middle, DAEMON + 12, middle, both=True)
    for i, words in enumerate(("records: text of each datagram, any charset", "guard: loops and forged senders",
                               "counters: /metrics for Prometheus")):
        drawing.text(DAEMON + 130, 322 + 18 * i, words, "muted", 11, "middle")
    return drawing.svg()


if __name__ == "__main__":
    sys.stdout.write(draw())
