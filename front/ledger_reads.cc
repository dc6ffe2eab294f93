#include "front/ledger_reads.h"

#include <utility>

#include "base/check.h"

namespace tallymill::front {
namespace {

// Answered from one state: a longer run would keep the WAL from starting again.
constexpr std::size_t questions_per_state = 256;

}  // namespace

LedgerReads::LedgerReads(std::unique_ptr<LedgerReader> reader, std::size_t bound)
    : reader_(std::move(reader)),
      bound_(bound),
      questions_(bound),
      answers_(bound),
      thread_([this] { run(); }) {}

LedgerReads::~LedgerReads() {
  stopping_ = true;
  questions_.nudge();
  thread_.join();
}

bool LedgerReads::ask(Question question) {
  if (open_ >= bound_) return false;
  ++open_;
  TM_CHECK(questions_.put(std::move(question)));
  return true;
}

int LedgerReads::run_answers() {
  answers_.take(running_);
  for (Answer& answer : running_) {
    --open_;
    if (answer) answer();
  }
  const int ran = static_cast<int>(running_.size());
  running_.clear();
  return ran;
}

void LedgerReads::run() {
  std::vector<Question> asked;
  while (true) {
    const bool stopping = stopping_;
    const bool any = stopping ? questions_.take(asked) : questions_.wait(asked);
    if (!any && stopping) return;
    for (std::size_t i = 0; i < asked.size(); ++i) {
      if (i % questions_per_state == 0) reader_->begin();
      TM_CHECK(answers_.put(asked[i](*reader_)));
      if ((i + 1) % questions_per_state == 0) reader_->end();
    }
    reader_->end();
    asked.clear();
  }
}

}  // namespace tallymill::front
