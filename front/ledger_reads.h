// LedgerReads: a thread with a reader of its own, so that no question to the ledger ever blocks the
// loop. A question is a function that reads; what it returns runs on the loop, with the answer
// inside:
//
//   reads.ask([this, job](LedgerReader& ledger) -> LedgerReads::Answer {
//     return [this, row = ledger.status(job)] { send(row); };
//   });
//
// Questions that gathered are answered from one state of the ledger, in order.
//
//   invariant: every question that was taken is answered once, in the order they were asked
//
// Threads: ask() and run_answers() by the loop; questions run on the thread inside.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "bus/mailbox.h"
#include "front/ledger.h"

namespace tallymill::front {

class LedgerReads {
 public:
  using Answer = std::move_only_function<void()>;
  using Question = std::move_only_function<Answer(LedgerReader&)>;

  explicit LedgerReads(std::unique_ptr<LedgerReader> reader,
                       std::size_t bound = limits::ledger_reads);
  // Answers what was asked, and joins; answers not yet run are dropped.
  ~LedgerReads();

  // False when `bound` questions are unanswered: tell the client E_BUSY.
  [[nodiscard]] bool ask(Question question);

  // Poll it; then run_answers().
  [[nodiscard]] int fd() const { return answers_.fd(); }
  // Runs the answers that are there. How many.
  int run_answers();

  [[nodiscard]] std::size_t open() const { return open_; }

 private:
  void run();

  const std::unique_ptr<LedgerReader> reader_;
  const std::size_t bound_;
  std::atomic<std::size_t> open_ = 0;
  std::atomic<bool> stopping_ = false;
  bus::Mailbox<Question> questions_;
  bus::Mailbox<Answer> answers_;
  std::vector<Answer> running_;
  std::thread thread_;
};

}  // namespace tallymill::front
