"""A small SVG writer for the pictures of the documentation.

A picture is a card with its own background, so that it is readable on light and dark pages. In a viewer that prefers dark
colours, the card and its contents become dark together."""
from xml.sax.saxutils import escape

LIGHT = {"card": "#ffffff", "edge": "#8c959f", "box": "#f3f5f8", "ink": "#1f2328", "muted": "#57606a",
         "main": "#0550ae", "other": "#8a5c00", "bad": "#b42318"}
DARK = {"card": "#161b22", "edge": "#6e7681", "box": "#21262d", "ink": "#e6edf3", "muted": "#a3adb8",
        "main": "#79c0ff", "other": "#e3b341", "bad": "#ff7b72"}


def rules(colours):
    """CSS: fill-NAME and line-NAME for each colour."""
    return " ".join(f".fill-{name}{{fill:{colour}}} .line-{name}{{stroke:{colour}}}" for name, colour in colours.items())


class Picture:
    def __init__(self, width, height, title, description):
        self.width, self.height = width, height
        self.parts = [f"<title>{escape(title)}</title>", f"<desc>{escape(description)}</desc>"]
        self.rectangle(1, 1, width - 2, height - 2, "card", "edge", radius=10)

    def rectangle(self, x, y, width, height, fill, line=None, radius=0):
        edge = f' class="fill-{fill} line-{line}" stroke-width="1.2"' if line else f' class="fill-{fill}"'
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}"{edge}/>')

    def text(self, x, y, words, colour="ink", size=13, anchor="start", weight="normal"):
        self.parts.append(f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
                          f'class="fill-{colour}">{escape(words)}</text>')

    def box(self, x, y, width, height, *lines, colour="ink"):
        """A box with centred lines: the first is bold, the others are muted."""
        self.rectangle(x, y, width, height, "box", "edge", radius=6)
        top = y + height / 2 - 8 * (len(lines) - 1) + 4.5
        for i, line in enumerate(lines):
            self.text(x + width / 2, top + 16 * i, line, "muted" if i else colour, 12 if i else 13, "middle",
                      "normal" if i else "bold")

    def arrow(self, x1, y1, x2, y2, colour="main", both=False, dashed=False):
        start = f' marker-start="url(#{colour})"' if both else ""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="line-{colour}" stroke-width="2"'
                          f'{dash}{start} marker-end="url(#{colour})"/>')

    def svg(self):
        heads = "".join(f'<marker id="{colour}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" '
                        f'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" class="fill-{colour}"/></marker>'
                        for colour in ("main", "bad"))
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" role="img" font-family="DejaVu Sans, Verdana, sans-serif">',
            f"<style>{rules(LIGHT)} @media (prefers-color-scheme: dark) {{{rules(DARK)}}}</style>",
            f"<defs>{heads}</defs>", *self.parts, "</svg>\n"])
