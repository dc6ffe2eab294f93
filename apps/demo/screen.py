"""What the demo says in a terminal: 80 columns, colour and progress only where somebody looks."""

import os
import sys

CODES = {"green": "32", "red": "31", "dim": "2", "bold": "1"}


def coloured(text, colour, stream=sys.stdout):
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{CODES[colour]}m{text}\x1b[0m"


def printable(text):
    """A file's name must not drive the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(text))


def shortened(text, width):
    text = printable(text)
    return text if len(text) <= width else text[:width - 9] + "…" + text[-8:]


def say(text=""):
    clear()
    print(text, flush=True)


def warn(text):
    clear()
    print(f"{coloured('tallymill demo:', 'red', sys.stderr)} {text}", file=sys.stderr, flush=True)


def progress(text):
    """One line on stderr that is drawn over."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K  {text[:76]}", end="", file=sys.stderr, flush=True)


def clear():
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def human_time(ns):
    if ns is None:
        return "?"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            value = ns / size
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{ns} ns"


def human_size(n):
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} B"


def many(n, what):
    """"1 box", "2 boxes"."""
    return f"{n} {what}" if n == 1 else f"{n} {what}{'es' if what.endswith('x') else 's'}"
