"""What a shell completes and `man` shows: all that --help does, in real shells.

Method: scripts and pages are made by the programs, read by bash, zsh, fish and groff, and held against the
--help of every command. Lines are typed into shells on a terminal, where `tallymill` is a function that
prints what it got.

usage: completion_test.py PROGRAMS
"""

import json
import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
LAUNCHER = str(PROGRAMS / "tallymill")
GROUPS = ("alerts", "alerts silence", "config", "ledger", "rules", "stage")


def asked(*words, code=0):
    ran = subprocess.run([LAUNCHER, *words], capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == code, (words, ran.stderr)
    return ran.stdout


def all_commands():
    """{words: its --help}, of each command that can be given; its groups aside."""
    top = re.findall(r"^  ([a-z]+)  ", asked("--help").split("Subcommands:")[1], re.MULTILINE)
    words = [w for w in top if w not in GROUPS] + ["up", "demo", "front", "collector", "version", "stage compute",
                                                   "stage image"]
    words.append("collector snapshot")
    for group in GROUPS[:-1]:
        below = re.findall(r"^  ([a-z]+)  ", asked(*group.split(), "--help").split("Subcommands:")[1], re.MULTILINE)
        words += [f"{group} {name}" for name in below if f"{group} {name}" not in GROUPS]
    return {w: asked(*w.split(), "--help") for w in words}


def flags_in(text):
    return {flag for pair in re.findall(r"^  (-\w,)? *(--[\w.-]+)", text, re.MULTILINE)
            for flag in (pair[0].rstrip(","), pair[1]) if flag}


def typeable(flags):
    return {flag for flag in flags if "KIND" not in flag}


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, command, setup, folder):
        self.seen = ""
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm", "LC_ALL": "C.UTF-8",
                       "PS1": "READY", "INPUTRC": "/dev/null", "XDG_CONFIG_HOME": str(folder)}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        self.until("READY")
        for line in setup:
            self.type(line + "\n", "READY")

    def until(self, mark, seconds=20):
        end = time.monotonic() + seconds
        while mark not in self.seen:
            assert select.select([self.fd], [], [], max(0, end - time.monotonic()))[0], (mark, self.seen)
            self.seen += os.read(self.fd, 65536).decode(errors="replace")
        return self.seen

    def type(self, text, mark):
        self.seen = ""
        os.write(self.fd, text.encode())
        return self.until(mark)

    def line(self, keys):
        """What the line is that these keys make."""
        said = self.type(keys + "\n", "<END>\r\n")
        return re.findall(r"<GOT>(.*?)<END>\r\n", said)[-1]

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.commands = all_commands()
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.scripts = {}
        for shell in ("bash", "zsh", "fish"):
            cls.scripts[shell] = cls.folder / f"completion.{shell}"
            cls.scripts[shell].write_text(asked("completion", shell))
        (cls.folder / "files").mkdir()
        (cls.folder / "files" / "a photo.jpg").touch()

    def bash(self, *words):
        """What bash offers for the last of the words, without a terminal."""
        ran = subprocess.run(
            ["bash", "--norc", "-c", 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
             '_tallymill; printf "%s\\n" "${COMPREPLY[@]}"', "bash", self.scripts["bash"], "tallymill", *words],
            capture_output=True, text=True, timeout=30, check=True, cwd=self.folder / "files")
        self.assertEqual(ran.stderr, "")
        return set(ran.stdout.split("\n")) - {""}

    def fish(self, line):
        ran = subprocess.run(["fish", "--no-config", "-c", f"source {self.scripts['fish']}; complete -C '{line}'"],
                             capture_output=True, text=True, timeout=30, check=True, cwd=self.folder / "files",
                             env=os.environ | {"HOME": str(self.folder)})
        self.assertEqual(ran.stderr, "")
        return {offered.split("\t")[0] for offered in ran.stdout.splitlines()}

    def test_bash_offers_every_command_and_every_flag_of_its_help(self):
        top = {words.split()[0] for words in self.commands}
        self.assertEqual(self.bash(""), top)
        for words, text in self.commands.items():
            with self.subTest(words):
                self.assertEqual(typeable(flags_in(text)) - self.bash(*words.split(), "-"), set())
                self.assertLessEqual({words.split()[-1]}, self.bash(*words.split()))

    def test_zsh_knows_every_command_and_every_flag_of_its_help(self):
        told = subprocess.run(
            ["zsh", "-f", "-c", 'compdef() { }; source $1; for words in "${@:2}"; do _tallymill_about "$words"; '
             'print -r -- "= $words"; print -rl -- ${below%%:*} ${flags%%:*}; done', "zsh", self.scripts["zsh"],
             "", *self.commands], capture_output=True, text=True, timeout=30, check=True)
        self.assertEqual(told.stderr, "")
        known = {part.split("\n")[0]: set(part.split("\n")[1:]) for part in told.stdout.split("= ")[1:]}
        self.assertEqual({words.split()[0] for words in self.commands} - known[""], set())
        for words, text in self.commands.items():
            self.assertEqual(typeable(flags_in(text)) - known[words], set(), words)

    def test_fish_offers_every_command_and_every_flag_of_its_help(self):
        self.assertEqual({words.split()[0] for words in self.commands} - self.fish("tallymill "), set())
        for words, text in self.commands.items():
            with self.subTest(words):
                long = {flag for flag in typeable(flags_in(text)) if flag.startswith("--")}
                self.assertEqual(long - self.fish(f"tallymill {words} --"), set())

    def test_values_of_a_closed_set_are_offered_and_files_otherwise(self):
        orders = {"newest", "oldest", "ended", "slowest"}
        self.assertEqual(self.bash("jobs", "--sort", ""), orders)
        self.assertEqual(self.bash("jobs", "--sort", "=", "sl"), {"slowest"})
        self.assertEqual(self.bash("jobs", "--sort", "="), orders)
        self.assertEqual(self.bash("jobs", "--sort=o"), {"--sort=oldest"})  # without = in COMP_WORDBREAKS
        self.assertEqual(self.bash("jobs", "--sort", "newest", "--state", "set"), {"settling"})
        self.assertEqual(self.bash("completion", ""), {"bash", "zsh", "fish"})
        self.assertEqual(self.bash("token", "x", "--role", ""), {"read", "submit", "operate"})
        self.assertEqual(self.bash("up", "--log.level", "d"), {"debug"})
        self.assertEqual(self.bash("config", "show", "--log.format", ""), {"console", "logfmt", "json"})
        self.assertEqual(self.bash("stage", "i"), {"image"})
        self.assertEqual(self.bash("man", "con"), {"config", "config-check", "config-show"})
        self.assertEqual(self.bash("submit", "engrave", "a"), {"a photo.jpg"})
        self.assertEqual(self.bash("run", "box", "--out", ""), {"a photo.jpg"})
        self.assertEqual(self.bash("nothing", "--"), self.bash("--"))
        for line, offered in (("jobs --sort ", orders), ("jobs --sort=sl", {"--sort=slowest"}),
                              ("completion ", {"bash", "zsh", "fish"}), ("up --log.level d", {"debug"}),
                              ("config ", {"check", "show"}), ("submit engrave a", {"a photo.jpg"})):
            with self.subTest(line):
                self.assertEqual(self.fish("tallymill " + line), offered)

    def test_lines_are_completed_on_a_terminal(self):
        got = "tallymill() { printf '<GOT>%s' \"$*\"; printf '<END>\\n'; }"
        zsh = ["autoload -Uz compinit", "compinit -D -u", f"source {self.scripts['zsh']}", got]
        for shell, command, setup in (
                ("bash", ["bash", "--norc", "--noprofile", "-i"], [f"source {self.scripts['bash']}", got]),
                ("zsh", ["zsh", "-f", "-i"], zsh)):
            with self.subTest(shell):
                terminal = Terminal(command, setup, self.folder)
                for keys, line in (("topo\t", "topology"), ("conf\tsh\t--orig\t", "config show --origin"),
                                   ("jobs --so\tsl\t", "jobs --sort slowest"),
                                   ("jobs --sort=sl\t", "jobs --sort=slowest"),
                                   ("jobs --limit 3 --state can\t", "jobs --limit 3 --state cancelled"),
                                   ("completion f\t", "completion fish"),
                                   ("submit engrave files/a\t", "submit engrave files/a photo.jpg")):
                    self.assertEqual(terminal.line("tallymill " + keys).strip(), line)
                terminal.close()

    def test_a_shell_that_is_none_is_refused(self):
        asked("completion", "tcsh", code=2)
        asked("completion", code=2)
        told = json.loads(asked("completion", "bash", "--json"))
        self.assertEqual((told["shell"], told["script"]), ("bash", self.scripts["bash"].read_text()))


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.commands = all_commands()
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory())) / "man"
        written = json.loads(asked("man", "--out", str(cls.folder), "--json"))["files"]
        cls.pages = {path.stem: path for path in sorted(cls.folder.iterdir())}
        assert sorted(written) == sorted(map(str, cls.pages.values()))

    def text_of(self, page):
        ran = subprocess.run(["groff", "-man", "-Tascii", "-P-cbou", "-ww", "-rLL=400n", "-rHY=0", page],
                             capture_output=True, text=True, timeout=30, check=True)
        self.assertEqual(ran.stderr, "", page)  # no warning, of all kinds that there are
        return ran.stdout

    def test_every_command_has_a_page_with_every_flag_of_its_help(self):
        pages = {"tallymill", *("tallymill-" + words.replace(" ", "-") for words in GROUPS),
                 *("tallymill-" + words.replace(" ", "-") for words in self.commands)}
        self.assertEqual(set(self.pages), pages)
        for words, help_text in self.commands.items():
            text = self.text_of(self.pages["tallymill-" + words.replace(" ", "-")])
            options = set(re.findall(r"(?<![\w-])-\w\b|--[\w.-]*\w", text))
            self.assertEqual(flags_in(help_text) - options, set(), words)
            self.assertRegex(text, rf"NAME\n +tallymill-{words.replace(' ', '-')} - \w")
            self.assertRegex(text, rf"SYNOPSIS\n +tallymill {words}\b")

    def test_exit_codes_and_variables_are_told(self):
        text = self.text_of(self.pages["tallymill-jobs"])
        for variable in ("TALLYMILL_SERVER", "TALLYMILL_CLIENT", "NO_COLOR"):
            self.assertRegex(text, rf"\n +{variable}\b")
        exits = text.split("EXIT STATUS")[1].split("SEE ALSO")[0]
        self.assertEqual(re.findall(r"^ {7}(\d+) ", exits, re.MULTILINE),
                         ["0", "1", "2", "3", "4", "5", "6", "7", "70", "130"])
        self.assertRegex(exits, r"\n +3 .*E_AWAY")
        up = self.text_of(self.pages["tallymill-up"])
        self.assertRegex(up, r"\n +TALLYMILL_FRONT__MAX_DEPTH\n")
        self.assertRegex(up, r"\n +TALLYMILL_CONFIG\n")

    def test_the_overview_names_every_command(self):
        text = self.text_of(self.pages["tallymill"])
        for words in self.commands:
            self.assertRegex(text, rf"\n +{words.split()[0]}\b")
            self.assertIn(f"tallymill-{words.replace(' ', '-')}(1)", text)

    def test_one_page_is_printed_by_its_commands_words(self):
        page = self.pages["tallymill-config-show"].read_text()
        for words in (["config", "show"], ["config-show"], ["tallymill-config-show"]):
            self.assertEqual(asked("man", *words), page)
        self.assertEqual(asked("man"), self.pages["tallymill"].read_text())
        self.assertEqual(json.loads(asked("man", "ping", "--json"))["page"],
                         self.pages["tallymill-ping"].read_text())
        asked("man", "nothing", code=5)
        asked("man", "--out", "/proc/nowhere", code=70)

    def test_all_is_installed_where_debian_has_it(self):
        with tempfile.TemporaryDirectory() as prefix:
            subprocess.run(["cmake", "--install", PROGRAMS.parent, "--prefix", prefix], check=True, timeout=60,
                           stdout=subprocess.DEVNULL)
            share = pathlib.Path(prefix) / "share"
            self.assertEqual({path.name for path in (share / "man/man1").iterdir()},
                             {path.name for path in self.pages.values()})
            for shell, path in (("bash", "bash-completion/completions/tallymill"),
                                ("zsh", "zsh/vendor-completions/_tallymill"),
                                ("fish", "fish/vendor_completions.d/tallymill.fish")):
                self.assertEqual((share / path).read_text(), asked("completion", shell))
            ran = subprocess.run([pathlib.Path(prefix) / "bin/tallymill", "man", "ping"], capture_output=True,
                                 text=True, timeout=30, check=True)
            self.assertEqual(ran.stdout, self.pages["tallymill-ping"].read_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
