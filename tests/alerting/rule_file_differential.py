"""Rule files, and what promtool says of them. Goal: what promtool takes is taken, what it refuses is
refused, but for what tests/rules/prometheus.cases says otherwise with a reason; what is converted to
Prometheus' own form is taken by promtool, and fires there. Method: the cases, and files that are made from them by
small random damage, are given to both.

    rule_file_differential.py RULE_FILE_ASK [FILES [SEED]]
"""
import json
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH = 500
PIECES = ["~", "null", "{", "}", "[", "]", ":", "- ", '"', "'", "#", "&a ", "*a", "|", ">", "\n", "  ", "\t", ",", "?", "!",
          "!!str ", "<<: ", "5m", "0", "-1", "1.5", "true", "groups:", "name:", "rules:", "record:", "alert:", "expr:", "for:",
          "labels:", "annotations:", "interval:", "limit:", "up", "a", "\\", "%", "@", "`", "\u00e9", "---\n", "=", " "]
# Where the two may differ, by what the file has in it or what we say of it.
DIFFERS_BY_ALIAS = r"expr: *\*"  # Prometheus takes its name for an expression
DIFFERS_BY_TEXT = [
    r"!!(int|float|bool|null|timestamp|binary)\b",  # a tag that its text contradicts, and bytes
    r"![^!\s]*[!#\[{\"]",                           # a tag's name that was not declared
    r"(?m)^\.\.\.",                                 # what stands behind the end of a document
    DIFFERS_BY_ALIAS,
    r"\\/",                                         # an escape of YAML 1.2
    r"\r",                                          # lines that end in CR alone
    r"[\u0085\u2028\u2029]",                        # ends of lines in YAML 1.1
    r"(?m)^\?|[,{] *\?",                             # a key that has no value
    r"(?m)^%",                                      # a directive without a document
    r":[\]},]",                                     # a colon at the end of a plain text in brackets
    r"(?m)^\{.*\}\s*\{",                            # a second document without a line between
    r"[&*]\w*[^\x00-\x7f]|[,\[]&\w+ *[\],]|[&*]\w*:",  # an anchor that is not ASCII, of nothing, or with a colon
    r":\s*\n[\[{]",                                 # brackets at the margin
    r"(?m)^ *\t",                                   # a tab that indents, where it changes nothing
    r"\A\W*\Z",                                     # a file without a word
]
DIFFERS_BY_WORDS = [r"this is no part of the document"]  # Prometheus does not read on


def cases(name):
    """(title, text, what is told, what promtool says where it differs)"""
    found, text = [], None
    for line in (ROOT / "tests/rules" / name).read_text(encoding="utf-8").split("\n"):
        if line.startswith("== "):
            title, text = line[3:], ""
        elif text is not None and line.startswith("-- "):
            body = text.encode()
            if title.endswith("(\\x)"):
                body = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), body)
            found.append([title, body, line[3:], None])
            text = None
        elif text is not None:
            text += line + "\n"
        elif line.startswith("-- promtool "):
            found[-1][3] = line.split()[2] == "takes"
    return found


def damaged(rng, text):
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        lines, kind, at = text.split("\n"), rng.random(), rng.randrange(len(text) + 1)
        line = rng.randrange(len(lines))
        if kind < 0.2:
            del lines[line]
        elif kind < 0.3:
            lines.insert(rng.randrange(len(lines) + 1), lines[line])
        elif kind < 0.4:
            lines[line] = " " * rng.randrange(4) + lines[line]
        elif kind < 0.5:
            lines[line] = lines[line][rng.randrange(3):]
        if kind < 0.5:
            text = "\n".join(lines)
        elif kind < 0.7:
            text = text[:at] + text[at + 1 + rng.randrange(3):]
        else:
            text = text[:at] + rng.choice(PIECES) + text[at:]
    return text


def promtool_takes(files):
    verdicts = {}
    while left := [file for file in files if file not in verdicts]:
        ran = subprocess.run(["promtool", "check", "rules", "--lint=none", *left], capture_output=True, check=False)
        before, file = len(verdicts), None
        for line in ran.stdout.decode().split("\n"):
            if line.startswith("Checking "):
                file = line[len("Checking "):]
                verdicts[file] = False  # also of one that it crashes on
            elif line.startswith("  SUCCESS"):
                verdicts[file] = True
        assert len(verdicts) > before, ran.stderr.decode("utf-8", "replace")
    return [verdicts[file] for file in files]


def we_say(ask, files):
    ran = subprocess.run([ask, *files], capture_output=True, check=True)
    lines = ran.stdout.decode("utf-8", "replace").removesuffix("\n").split("\n")
    assert len(lines) == len(files), (len(lines), len(files))
    return [line.removeprefix(file) for file, line in zip(files, lines)]


def written(folder, texts, suffix=".yml"):
    files = []
    for number, text in enumerate(texts):
        file = folder / f"{number:05}{suffix}"
        file.write_bytes(text)
        files.append(str(file))
    return files


def check_cases(ask, folder):
    all_cases = cases("prometheus.cases")
    files = written(folder, [text for _, text, _, _ in all_cases])
    failed = 0
    for (title, _, says, differs), takes, said in zip(all_cases, promtool_takes(files), we_say(ask, files)):
        expected = differs if differs is not None else says == "ok"
        if takes != expected:
            failed += 1
            print(f"promtool {'takes' if takes else 'refuses'}: {title}")
        if (said == "ok") != (says == "ok"):
            failed += 1
            print(f"we say {said}: {title}")
        if differs is not None and differs == (says == "ok"):
            failed += 1
            print(f"no difference: {title}")
    print(f"{len(all_cases)} cases, {sum(1 for c in all_cases if c[2] == 'ok')} of them taken, "
          f"{sum(1 for c in all_cases if c[3] is not None)} differ as they say, {failed} wrong")
    return failed


def check_damaged(ask, folder, count, seed):
    rng = random.Random(seed)
    # Templates have a test of their own.
    sources = [text.decode() for _, text, _, _ in cases("prometheus.cases") if b"{{" not in text and b"\xff" not in text]
    failed = taken = known = 0
    for begin in range(0, count, BATCH):
        texts = [damaged(rng, rng.choice(sources)) for _ in range(min(BATCH, count - begin))]
        files = written(folder, [text.encode() for text in texts])
        for text, takes, said in zip(texts, promtool_takes(files), we_say(ask, files)):
            taken += takes
            if takes == (said == "ok"):
                continue
            if any(re.search(p, text) for p in DIFFERS_BY_TEXT) or any(re.search(p, said) for p in DIFFERS_BY_WORDS):
                known += 1
                continue
            failed += 1
            if failed <= 10:
                print(f"promtool {'takes' if takes else 'refuses'} this, we say {said}:\n{text}\n")
    print(f"{count} damaged files (seed {seed}), {taken} of them taken, {known} differ as known, {failed} wrong")
    return failed


def check_converted(ask, folder):
    texts = [c for name in ("prometheus.cases", "beyond.cases") for c in cases(name) if c[2] == "ok"]
    texts += [(str(file), file.read_bytes()) for file in sorted((ROOT / "tests/rules").glob("*.tm.yml"))]
    converted, failed = [], 0
    for file in written(folder, [c[1] for c in texts], ".tm.yml"):
        ran = subprocess.run([ask, "--convert", file], capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            failed += 1
            print(ran.stderr)
        converted.append(ran.stdout.encode())
    files = written(folder, converted)
    for (title, *_), takes, said in zip(texts, promtool_takes(files), we_say(ask, files)):
        if not takes or said != "ok":
            failed += 1
            print(f"converted, promtool {'takes' if takes else 'refuses'}, we say {said}: {title}")
    print(f"{len(files)} converted files, {failed} wrong")
    return failed


def check_shorthand(ask, folder):
    """That what a shorthand becomes fires in Prometheus when it is to."""
    plain = subprocess.run([ask, "--convert", ROOT / "tests/rules/shorthand.tm.yml"], capture_output=True, check=True)
    (folder / "shorthand.yml").write_bytes(plain.stdout)
    shutil.copy(ROOT / "tests/rules/shorthand.promtool.yml", folder)
    ran = subprocess.run(["promtool", "test", "rules", "shorthand.promtool.yml"], cwd=folder, capture_output=True, text=True,
                         check=False)
    print("shorthand in promtool's unit test:", "passed" if ran.returncode == 0 else ran.stdout + ran.stderr)
    return int(ran.returncode != 0)


def rules_of(group):
    keys = ("type", "name", "query", "duration", "keepFiringFor", "labels", "annotations")
    return group["interval"], max(group["limit"], 0), [{key: rule.get(key) for key in keys} for rule in group["rules"]]


def ask_prometheus(folder, patterns):
    """{(folder, file, group): what its API says of the group}"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "prometheus.yml").write_text(json.dumps({"rule_files": patterns}), encoding="utf-8")
    server = subprocess.Popen(["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                               f"--web.listen-address={address}", "--log.level=error"], cwd=folder)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://{address}/api/v1/rules", timeout=30) as answer:
                    groups = json.load(answer)["data"]["groups"]
                if groups:
                    break
            except OSError:
                pass
            if time.monotonic() > until or server.poll() is not None:
                raise TimeoutError("prometheus does not answer")
            time.sleep(0.1)
    finally:
        server.terminate()
        server.wait()
    return {(*pathlib.PurePath(g["file"]).parts[-2:], g["name"]): rules_of(g) for g in groups}


def check_contents(ask, folder):
    """That to Prometheus a file and what we make of it hold the same rules."""
    if not shutil.which("prometheus"):
        print("SKIPPED: prometheus comes with ./dev setup test")
        return 0
    taken = [c for c in cases("prometheus.cases") if c[2] == "ok" and c[3] is None]
    for name in ("theirs", "ours"):
        (folder / name).mkdir()
    for file in written(folder / "theirs", [c[1] for c in taken]):
        ran = subprocess.run([ask, "--convert", file], capture_output=True, check=True)
        (folder / "ours" / pathlib.Path(file).name).write_bytes(ran.stdout)
    groups = ask_prometheus(folder, ["theirs/*.yml", "ours/*.yml"])
    failed = seen = 0
    for (whose, file, name), theirs in groups.items():
        title, text, _, _ = taken[int(file[:5])]
        seen += whose == "theirs"
        if whose == "ours" or re.search(DIFFERS_BY_ALIAS, text.decode()) or "\u0085" in text.decode():
            continue
        if groups.get(("ours", file, name)) != theirs:
            failed += 1
            print(f"{title}:\n{theirs}\n{groups.get(('ours', file, name))}")
    print(f"{seen} groups compared in prometheus, {failed} wrong")
    return failed + (seen < 100)


def main():
    ask = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    if not shutil.which("promtool"):
        print("SKIPPED: promtool comes with ./dev setup test")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        failed = (check_cases(ask, folder) + check_damaged(ask, folder, count, seed) + check_converted(ask, folder)
                  + check_shorthand(ask, folder) + check_contents(ask, folder))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
