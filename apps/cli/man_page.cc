// A man page of a command, in the macros of man(7).
#include <fmt/format.h>

#include <array>
#include <map>
#include <sstream>

#include "apps/cli/reference.h"
#include "apps/exit_codes.h"
#include "base/result.h"

namespace tallymill::cli {
namespace {

// Text that roff prints as it stands; `words` in bold, as a terminal has no other way.
std::string escaped(std::string_view text) {
  std::string out;
  bool bold = false;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '`')
      out += (bold = !bold) ? "\\fB" : "\\fR";
    else if (c == '\'')
      out += "\\(aq";
    else if (c == '\n')
      out += ' ';
    else
      out += c;
  }
  // A line that begins with a dot is a request.
  return (out.starts_with('.') ? "\\&" : "") + out;
}

std::string bold(std::string_view text) { return "\\fB" + escaped(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + escaped(text) + "\\fR"; }

// Paragraphs; indented lines as they are.
std::string paragraphs(const std::string& text) {
  std::istringstream lines(text);
  std::string out, line;
  bool as_is = false, first = true;
  while (std::getline(lines, line)) {
    if (line.starts_with("  ") != as_is) {
      as_is = !as_is;
      out += as_is ? ".nf\n" : ".fi\n";
    }
    if (line.empty()) {
      if (!first) out += ".PP\n";
      first = true;  // of the next paragraph; two empty lines are one
      continue;
    }
    first = false;
    out += escaped(line) + "\n";
  }
  return out + (as_is ? ".fi\n" : "");
}

std::string synopsis(const Command& command) {
  std::string out =
      bold("tallymill" + std::string(command.words.empty() ? "" : " ") + command.words);
  std::string group = out + " " + italic("COMMAND") + " ...";
  if (!command.below.empty() && !command.is_program) return group;
  out += " [" + italic("OPTION") + " ...]";
  for (const Operand& operand : command.operands) {
    const std::string name = italic(operand.name) + (operand.many ? " ..." : "");
    out += operand.required ? " " + name : " [" + name + "]";
  }
  return command.below.empty() ? out : out + "\n.br\n" + group;
}

std::string of_choices(const std::vector<std::string>& choices) {
  if (choices.empty()) return {};
  std::string out = " One of";
  for (const std::string& choice : choices)
    out += (&choice == &choices.front() ? " " : ", ") + bold(choice);
  return out + ".";
}

// A sentence of its own, so that others can follow.
std::string sentence(const std::string& help) {
  return escaped(help) + (help.ends_with('.') || help.empty() ? "" : ".");
}

std::string entry(const std::string& title, const std::string& text) {
  return ".TP\n" + title + "\n" + text + "\n";
}

std::string entry_of(const Flag& flag) {
  std::string title = flag.letter.empty() ? "" : bold(flag.letter) + ", ";
  title += bold(flag.name) + (flag.value.empty() ? "" : " " + italic(flag.value));
  return entry(title, sentence(flag.help) + of_choices(flag.choices));
}

std::string environment(const Command& command) {
  std::string out;
  for (const Flag& flag : command.flags)
    if (!flag.variable.empty())
      out += entry(bold(flag.variable), "as " + bold(flag.name) + ", which goes before it.");
  for (const Operand& operand : command.operands)
    if (!operand.variable.empty() && out.find(escaped(operand.variable)) == std::string::npos)
      out +=
          entry(bold(operand.variable), "as " + italic(operand.name) + ", which goes before it.");
  out += entry(bold("NO_COLOR"), "when it is set, nothing is coloured.");
  return ".SH ENVIRONMENT\n" + out;
}

struct ErrorRow {
  std::string_view name;
  int exit;
  std::string_view meaning;
};
constexpr std::array errors{
#define TM_ROW(code, name, http, exit, retry, meaning) ErrorRow{name, exit, meaning},
    TM_ERROR_TABLE(TM_ROW)
#undef TM_ROW
};

// Each code with what it means to every command, then the errors that end with it.
std::string exit_status() {
  std::map<int, std::string> texts{
      {exit_ok, "what was asked for is done, or the answer is yes"},
      {exit_negative, "the job did not end well, the check found something"},
      {exit_usage, "a flag, a value or the input is wrong"},
      {3, "nobody can be reached"},
      {4, "it took too long"},
      {5, "there is no such thing"},
      {6, "that is not allowed"},
      {exit_inconsistent, "a law of the ledger is broken"},
      {exit_cannot_run,
       "it cannot run: a port in use, a full disk, an output that cannot be written"},
      {exit_interrupted, "interrupted by Ctrl-C"}};
  for (auto& [code, text] : texts) text = sentence(text);
  for (const ErrorRow& error : errors)
    texts[error.exit] +=
        fmt::format("\n{}: {}", bold(error.name), sentence(std::string(error.meaning)));
  std::string out = ".SH EXIT STATUS\n";
  for (const auto& [code, text] : texts) out += entry(bold(std::to_string(code)), text);
  return out;
}

std::string see_also(const Command& command, const std::vector<Command>& commands) {
  std::string out;
  for (const Command& other : commands) {
    const bool near = command.words.empty() || other.words.empty() ||
                      other.words.starts_with(command.words + " ");
    if (!near || &other == &command) continue;
    out += (out.empty() ? "" : ",\n") + bold(page_name(other)) + "(1)";
  }
  return ".SH SEE ALSO\n" + out + "\n";
}

std::string commands_below(const Command& command, const std::vector<Command>& commands) {
  std::string out;
  for (const std::string& name : command.below) {
    const std::string words = command.words + (command.words.empty() ? "" : " ") + name;
    for (const Command& other : commands)
      if (other.words == words) out += entry(bold(name), sentence(other.summary));
  }
  return out.empty() ? out : ".SH COMMANDS\n" + out;
}

}  // namespace

std::string man_page(const Command& command, const std::vector<Command>& commands) {
  std::string title = page_name(command);
  for (char& c : title) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::string out = fmt::format(".TH {} 1 \"\" \"tallymill {}\" \"Tallymill\"\n", escaped(title),
                                TALLYMILL_VERSION);
  out +=
      fmt::format(".SH NAME\n{} \\- {}\n", escaped(page_name(command)), escaped(command.summary));
  out += ".SH SYNOPSIS\n" + synopsis(command) + "\n";
  if (!command.about.empty()) out += ".SH DESCRIPTION\n" + paragraphs(command.about);
  out += commands_below(command, commands);
  if (!command.operands.empty()) out += ".SH OPERANDS\n";
  for (const Operand& operand : command.operands)
    out += entry(italic(operand.name), sentence(operand.help) + of_choices(operand.choices));
  out += ".SH OPTIONS\n";
  for (const Flag& flag : command.flags) out += entry_of(flag);
  return out + environment(command) + exit_status() + see_also(command, commands);
}

}  // namespace tallymill::cli
