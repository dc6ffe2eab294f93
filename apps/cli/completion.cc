// Scripts that complete the words of a command in a shell. All three do the same:
//
// 1. The words before the cursor are walked: each that names a command below the one so far leads
//    there; one after a flag that takes a value is that value.
// 2. Offered are the values of the flag whose value comes next, the flags after a dash, else
//    the commands below or the operands that are a closed set. Where nothing is known: files.
//
// They hold all that they need, so that a tab asks no program.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "apps/cli/reference.h"
#include "base/check.h"

namespace tallymill::cli {
namespace {

std::string header(std::string_view shell) {
  return fmt::format("# Completion of tallymill {} for {}, made by `tallymill completion {}`.\n",
                     TALLYMILL_VERSION, shell, shell);
}

std::string in_quotes(std::string_view text, std::string_view quote_escaped) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += quote_escaped;
    else
      out += c;
  }
  return out + "'";
}

// A name that only its user knows stands in it: not to be typed as it is.
bool is_pattern(const Flag& flag) { return flag.name.find("KIND") != std::string::npos; }

// All that can be typed of the flags, by a function of the flag and its spelling.
template <class F>
void each_spelling(const Command& command, F&& told) {
  for (const Flag& flag : command.flags) {
    if (is_pattern(flag)) continue;
    told(flag, flag.name);
    if (!flag.letter.empty()) told(flag, flag.letter);
  }
}

std::vector<std::string> operand_choices(const Command& command) {
  std::vector<std::string> all;
  for (const Operand& operand : command.operands)
    all.insert(all.end(), operand.choices.begin(), operand.choices.end());
  return all;
}

const Command* below(const Command& command, const std::string& name,
                     const std::vector<Command>& commands) {
  const std::string words = command.words + (command.words.empty() ? "" : " ") + name;
  for (const Command& other : commands)
    if (other.words == words) return &other;
  return nullptr;
}

// The closed sets, as branches of a `case` over "COMMAND FLAG".
std::string values_cases(const std::vector<Command>& commands, std::string_view branch) {
  std::string out;
  for (const Command& command : commands)
    each_spelling(command, [&](const Flag& flag, const std::string& spelling) {
      if (!flag.choices.empty())
        out += fmt::format(fmt::runtime(branch), command.words + " " + spelling,
                           fmt::join(flag.choices, " "));
    });
  return out;
}

// ---- bash -----------------------------------------------------------------------------------

constexpr std::string_view bash_body = R"(
_tallymill() {
  local current=${COMP_WORDS[COMP_CWORD]} command= flag= word words= prefix= i
  local below flags valued operands values=
  _tallymill_about ''
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    if [[ $word == = ]]; then continue  # bash makes three words of --flag=value
    elif [[ -n $flag ]]; then flag=
    elif [[ $word == -* ]]; then [[ " $valued " != *" $word "* ]] || flag=$word
    elif [[ " $below " == *" $word "* ]]; then
      command+=${command:+ }$word
      _tallymill_about "$command"
    fi
  done
  [[ $current != = ]] || current=
  if [[ -z $flag && $current == --*=* ]]; then  # one word, where COMP_WORDBREAKS has no =
    flag=${current%%=*} prefix=${current%%=*}= current=${current#*=}
  fi
  if [[ -n $flag ]]; then _tallymill_values "$command $flag"; words=$values
  elif [[ $current == -* ]]; then words=$flags
  else words=${below:-$operands}
  fi
  if [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -P "$prefix" -W "$words" -- "$current")
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -P "$prefix" -f -- "$current")
  fi
}
complete -F _tallymill tallymill
)";

std::string bash(const std::vector<Command>& commands) {
  std::string out = header("bash") + "\n_tallymill_about() {  # COMMAND\n  case $1 in\n";
  for (const Command& command : commands) {
    std::vector<std::string> flags, valued;
    each_spelling(command, [&](const Flag& flag, const std::string& spelling) {
      flags.push_back(spelling);
      if (!flag.value.empty()) valued.push_back(spelling);
    });
    out += fmt::format(
        "    '{}')\n      below='{}'\n      flags='{}'\n      valued='{}'\n      operands='{}' "
        ";;\n",
        command.words, fmt::join(command.below, " "), fmt::join(flags, " "), fmt::join(valued, " "),
        fmt::join(operand_choices(command), " "));
  }
  out += "  esac\n}\n\n_tallymill_values() {  # COMMAND FLAG\n  case $1 in\n";
  out += values_cases(commands, "    '{}') values='{}' ;;\n");
  return out + "  esac\n}\n" + std::string(bash_body);
}

// ---- zsh ------------------------------------------------------------------------------------

constexpr std::string_view zsh_body = R"(
_tallymill() {
  local command= flag= word
  local -a below flags valued operands values
  _tallymill_about ''
  for word in "${(@)words[2,CURRENT-1]}"; do
    if [[ -n $flag ]]; then flag=
    elif [[ $word == -* ]]; then
      if (( ${valued[(Ie)$word]} )); then flag=$word; fi
    elif (( ${below[(I)${(b)word}:*]} )); then
      command+=${command:+ }$word
      _tallymill_about "$command"
    fi
  done
  if [[ -z $flag && $PREFIX == --*=* ]]; then
    flag=${PREFIX%%=*}
    compset -P '*='
  fi
  if [[ -n $flag ]]; then
    _tallymill_values "$command $flag"
    if (( $#values )); then compadd -a values; else _files; fi
  elif [[ $PREFIX == -* ]]; then _describe -o flag flags
  elif (( $#below )); then _describe command below
  elif (( $#operands )); then compadd -a operands
  else _files
  fi
}

# Read by the completion system as a function's body, or by `source`.
if [[ ${funcstack[1]} == _tallymill ]]; then _tallymill "$@"; else compdef _tallymill tallymill; fi
)";

// One of _describe's pairs.
std::string zsh_pair(const std::string& name, const std::string& help) {
  return " " + in_quotes(name + ":" + help, "'\\''");
}

std::string zsh(const std::vector<Command>& commands) {
  std::string out =
      "#compdef tallymill\n" + header("zsh") + "\n_tallymill_about() {  # COMMAND\n  case $1 in\n";
  for (const Command& command : commands) {
    std::string subcommands, flags, valued;
    for (const std::string& name : command.below)
      if (const Command* other = below(command, name, commands))
        subcommands += zsh_pair(name, other->summary);
    each_spelling(command, [&](const Flag& flag, const std::string& spelling) {
      flags += zsh_pair(spelling, flag.help);
      if (!flag.value.empty()) valued += " " + spelling;
    });
    out += fmt::format(
        "    ('{}')\n      below=({} )\n      flags=({} )\n      valued=({} )\n"
        "      operands=( {} ) ;;\n",
        command.words, subcommands, flags, valued, fmt::join(operand_choices(command), " "));
  }
  out += "  esac\n}\n\n_tallymill_values() {  # COMMAND FLAG\n  case $1 in\n";
  out += values_cases(commands, "    ('{}') values=({}) ;;\n");
  return out + "  esac\n}\n" + std::string(zsh_body);
}

// ---- fish -----------------------------------------------------------------------------------

constexpr std::string_view fish_body = R"(
function __tallymill_at  # COMMAND: that it is the one on the line so far
    set -l words (commandline -opc)
    set -e words[1]
    set -l at
    for word in $words
        if contains -- (string join ' ' -- $at $word) $__tallymill_commands
            set -a at $word
        end
    end
    test "$at" = "$argv"
end

)";

std::string fish_line(const Command& at, const std::string& rest, const std::string& help) {
  // fish takes a backslash in quotes as itself, but before a quote or another one.
  return fmt::format("complete -c tallymill -n \"__tallymill_at {}\" {} -d {}\n",
                     at.words.empty() ? "''" : at.words, rest, in_quotes(help, "\\'"));
}

std::string fish(const std::vector<Command>& commands) {
  std::string out = header("fish") + "\nset -g __tallymill_commands";
  for (const Command& command : commands)
    if (!command.words.empty()) out += fmt::format(" '{}'", command.words);
  out += "\n" + std::string(fish_body);
  for (const Command& command : commands) {
    for (const std::string& name : command.below)
      if (const Command* other = below(command, name, commands))
        out += fish_line(command, "-f -a " + name, other->summary);
    for (const Flag& flag : command.flags) {
      if (is_pattern(flag)) continue;
      std::string rest = "-l " + flag.name.substr(2);
      if (!flag.letter.empty()) rest += " -s " + flag.letter.substr(1);
      if (!flag.choices.empty())
        rest += fmt::format(" -x -a '{}'", fmt::join(flag.choices, " "));
      else if (!flag.value.empty())
        rest += " -r -F";
      out += fish_line(command, rest, flag.help);
    }
    for (const Operand& operand : command.operands)
      if (!operand.choices.empty())
        out += fish_line(command, fmt::format("-f -a '{}'", fmt::join(operand.choices, " ")),
                         operand.help);
  }
  return out;
}

}  // namespace

std::string completion_script(std::string_view shell, const std::vector<Command>& commands) {
  if (shell == "bash") return bash(commands);
  if (shell == "zsh") return zsh(commands);
  TM_CHECK(shell == "fish");
  return fish(commands);
}

}  // namespace tallymill::cli
