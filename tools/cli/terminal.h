// Output for people: aligned tables, colours where they are wanted, one progress line.
#pragma once
#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace flame::cli {

enum class Colour : unsigned char { kNone, kGreen, kYellow, kRed, kDim, kBold };

// Whether file descriptor `fd` is a terminal that takes colours (NO_COLOR and TERM=dumb say no).
bool colours(int fd);
// `text` in a colour when stdout takes them.
std::string paint(std::string_view text, Colour colour);

// Columns as wide as their widest cell; numbers to the right. Colour codes take no width.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.size() == 1; }
  void print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// One line on a terminal, rewritten at most ten times a second; a plain line every few seconds
// elsewhere. On stderr.
class Progress {
 public:
  Progress();
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void show(std::int64_t done, std::int64_t total, std::int64_t failed, std::string_view what);
  // Takes the line away.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point last_;
};

}  // namespace flame::cli
