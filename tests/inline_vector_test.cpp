// InlineVector against std::vector, inside and on the heap, and what becomes of its elements.
#include "lib/core/inline_vector.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>

namespace flame {
namespace {

using Ints = InlineVector<std::int64_t, 4>;
using Texts = InlineVector<std::string, 2>;
using Plain = std::vector<std::int64_t>;

Ints counted(std::size_t n) {
  Ints out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(static_cast<std::int64_t>(i));
  return out;
}

// Longer than what a std::string keeps inside, so that a sanitizer sees each that is lost.
std::string text(int i) { return "a text that is too long to lie inside: " + std::to_string(i); }

TEST(InlineVectorTest, IsMadeAsAStdVectorIs) {
  EXPECT_TRUE(Ints().empty());
  EXPECT_EQ(Ints(6), (Ints{0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(Ints(2, 7), (Ints{7, 7}));
  EXPECT_EQ(Ints{2}, Ints(1, 2));
  const Plain six{5, 4, 3, 2, 1, 0};
  EXPECT_EQ(Ints(six.begin() + 1, six.end()), (Ints{4, 3, 2, 1, 0}));
  std::istringstream in("1 2 3 4 5 6");  // read once: its length is not known before
  EXPECT_EQ(Ints(std::istream_iterator<int>(in), {}), (Ints{1, 2, 3, 4, 5, 6}));
}

TEST(InlineVectorTest, ConvertsToAndFromAStdVector) {
  const Plain six{5, 4, 3, 2, 1, 0};
  const Ints ints = six;
  const Plain back = ints;
  EXPECT_EQ(back, six);
  EXPECT_EQ(ints, six);
  const std::span<const std::int64_t> span = ints;
  EXPECT_EQ(span.data(), ints.data());
}

TEST(InlineVectorTest, TakesTheHeapOnlyWhereItMust) {
  const auto lies_inside = [](const Ints& v) {
    const auto* const begin = reinterpret_cast<const char*>(&v);
    const auto* const at = reinterpret_cast<const char*>(v.data());
    return at >= begin && at < begin + sizeof v;
  };
  for (std::size_t n : {0, 1, 4, 5, 9}) {
    Ints v = counted(n);
    EXPECT_EQ(lies_inside(v), n <= 4) << n;
    const std::int64_t* const before = v.data();
    const Ints moved = std::move(v);
    EXPECT_EQ(moved, counted(n));
    EXPECT_EQ(moved.data() == before, n > 4) << "a block changes hands";
    EXPECT_TRUE(v.empty()) << n;
    EXPECT_TRUE(lies_inside(v)) << n;
    v.push_back(1);
    EXPECT_EQ(v, Ints{1}) << "usable again";
  }
}

TEST(InlineVectorTest, AnElementOfItsOwnMayBeAdded) {
  Texts v{text(0), text(1)};
  v.push_back(v[0]);  // moves to the heap
  v.emplace_back(v[1]);
  v.push_back(v[2]);  // moves to a larger block
  EXPECT_EQ(v, (Texts{text(0), text(1), text(0), text(1), text(0)}));
  v.assign(7, v[1]);
  EXPECT_EQ(v, Texts(7, text(1)));
  v.resize(20, v[3]);
  EXPECT_EQ(v, Texts(20, text(1)));
  v = v;
  EXPECT_EQ(v, Texts(20, text(1)));
}

TEST(InlineVectorTest, IsOrderedAsAStdVectorIs) {
  EXPECT_LT((Ints{1, 2}), (Ints{1, 3}));
  EXPECT_LT((Ints{1, 2}), (Ints{1, 2, 0}));
  EXPECT_NE((Ints{1, 2}), (Ints{1, 2, 0}));
  EXPECT_GT((Ints{2}), (Ints{1, 9, 9, 9, 9, 9}));
}

TEST(InlineVectorTest, LooksAtItsSizeWhereAskedTo) {
  Ints v{3, 4};
  EXPECT_EQ(v.at(1), 4);
  EXPECT_THROW(v.at(2), std::out_of_range);
}

// Each copy of an element is destroyed once: the handles that are left say so.
TEST(InlineVectorTest, LosesNoElementAndDestroysNoneTwice) {
  const auto handle = std::make_shared<int>(0);
  {
    InlineVector<std::shared_ptr<int>, 2> v(handle);  // a list of one
    for (int i = 0; i < 4; ++i) v.push_back(handle);
    EXPECT_EQ(handle.use_count(), 6);
    auto copy = v;
    EXPECT_EQ(handle.use_count(), 11);
    v.erase(v.begin() + 1, v.begin() + 4);
    EXPECT_EQ(handle.use_count(), 8);
    v.swap(copy);
    EXPECT_EQ(v.size(), 5u);
    copy = std::move(v);
    EXPECT_EQ(handle.use_count(), 6);
    copy.resize(1);
    EXPECT_EQ(handle.use_count(), 2);
    copy.pop_back();
    EXPECT_EQ(handle.use_count(), 1);
    copy.resize(3);
    EXPECT_EQ(copy.back(), nullptr);
    copy.assign(3, handle);
  }
  EXPECT_EQ(handle.use_count(), 1);
}

// The same changes to both, thousands of times.
TEST(InlineVectorTest, ChangesAsAStdVectorDoes) {
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return static_cast<std::ptrdiff_t>(random() % n); };
  Texts ours;
  std::vector<std::string> theirs;
  for (int i = 0; i < 20000; ++i) {
    const std::ptrdiff_t at = below(theirs.size() + 1);
    const std::vector<std::string> list{text(i), text(i + 1), text(i + 2)};
    switch (below(10)) {
      case 0:
        ours.push_back(text(i));
        theirs.push_back(text(i));
        break;
      case 1:
        ours.insert(ours.begin() + at, text(i));
        theirs.insert(theirs.begin() + at, text(i));
        break;
      case 2:
        ours.insert(ours.begin() + at, list.begin(), list.end());
        theirs.insert(theirs.begin() + at, list.begin(), list.end());
        break;
      case 3:
      case 4: {
        const std::ptrdiff_t n = below(theirs.size() - static_cast<std::size_t>(at) + 1);
        ours.erase(ours.begin() + at, ours.begin() + at + n);
        theirs.erase(theirs.begin() + at, theirs.begin() + at + n);
        break;
      }
      case 5:
        if (at > 0) ours.pop_back(), theirs.pop_back();
        break;
      case 6:
        ours.resize(static_cast<std::size_t>(at) + 1);
        theirs.resize(static_cast<std::size_t>(at) + 1);
        break;
      case 7:
        ours.insert(ours.begin() + at, 3, text(i));
        theirs.insert(theirs.begin() + at, 3, text(i));
        break;
      case 8: {
        Texts copy(ours);
        ours = {text(i)};
        ours = std::move(copy);
        break;
      }
      default:
        if (random() % 8 == 0) ours.clear(), theirs.clear();
    }
    ASSERT_EQ(ours.size(), theirs.size());
    ASSERT_TRUE(std::equal(ours.begin(), ours.end(), theirs.begin()));
    ASSERT_TRUE(std::equal(ours.rbegin(), ours.rend(), theirs.rbegin()));
    ASSERT_GE(ours.capacity(), ours.size());
  }
}

}  // namespace
}  // namespace flame
