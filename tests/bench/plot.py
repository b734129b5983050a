"""A bar chart of ratios, as SVG."""
from xml.sax.saxutils import escape

WIDTH, LEFT, ROW, TOP = 860, 330, 22, 64
COLOURS = {True: "#2a7f62", False: "#b3541e"}


def bar(y, result, reference, ratio, goal, scale):
    ours, mark = LEFT + ratio * scale, LEFT + goal * scale
    label = f"{result.name} / {reference}"
    return (f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{LEFT}" y="{y + 2}" width="{ours - LEFT:.1f}" height="{ROW - 8}" fill="{COLOURS[ratio <= goal]}"/>'
            f'<line x1="{mark:.1f}" x2="{mark:.1f}" y1="{y - 1}" y2="{y + ROW - 3}" stroke="#222" stroke-width="2"/>'
            f'<text x="{max(ours, mark) + 6:.1f}" y="{y + 13}">{ratio:.3f}</text>')


def write(path, results, machine):
    """A row for each goal: the ratio to its reference as a bar, the goal as a mark."""
    rows = [(result, *goal) for result in results for goal in result.goals]
    longest = max(max(ratio, goal) for _, _, ratio, goal in rows)
    scale = (WIDTH - LEFT - 70) / longest
    one = LEFT + scale
    height = TOP + ROW * len(rows) + 12
    bars = [bar(TOP + i * ROW, *row, scale) for i, row in enumerate(rows)]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
                   f'font-family="sans-serif" font-size="12"><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
                   '<text x="12" y="20" font-size="15">udprelayd, as a ratio to the reference in the same run '
                   '(shorter is better)</text>'
                   f'<text x="12" y="38" fill="#555">{escape(machine)}</text>'
                   '<text x="12" y="54" fill="#555">A mark is the goal, the grey line the reference itself.</text>'
                   f'<line x1="{one:.1f}" x2="{one:.1f}" y1="{TOP - 4}" y2="{height - 8}" stroke="#999"/>'
                   + "".join(bars) + "</svg>\n")
