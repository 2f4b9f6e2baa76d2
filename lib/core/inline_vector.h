// A vector whose first elements lie in the object itself: shapes and lists of tensors are short,
// and a small op would otherwise spend much of its time on their heap blocks.
#pragma once
#include <algorithm>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace flame {

// As std::vector<T>, to and from which it converts; up to N elements take no heap. Unlike there, a
// move or a swap moves elements that lie inside, so that pointers to them do not stay valid.
template <class T, std::size_t N>
class InlineVector {
 public:
  using value_type = T;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using const_reference = const T&;
  using pointer = T*;
  using const_pointer = const T*;
  using iterator = T*;
  using const_iterator = const T*;
  using reverse_iterator = std::reverse_iterator<iterator>;
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;

  InlineVector() noexcept {}
  explicit InlineVector(size_type n) : InlineVector() { resize(n); }
  InlineVector(size_type n, const T& value) : InlineVector() { append(n, value); }
  InlineVector(std::initializer_list<T> list) : InlineVector(list.begin(), list.end()) {}
  template <std::input_iterator It>
  InlineVector(It first, It last) : InlineVector() {
    append(first, last);
  }
  InlineVector(const std::vector<T>& from) : InlineVector(from.begin(), from.end()) {}
  // A list of one, moved: elements of a list in braces can only be copied.
  InlineVector(T value) requires std::is_class_v<T> {
    std::construct_at(data_, std::move(value));
    size_ = 1;
  }
  InlineVector(const InlineVector& from) : InlineVector(from.begin(), from.end()) {}
  InlineVector(InlineVector&& from) noexcept { take(from); }
  ~InlineVector() { release(); }

  InlineVector& operator=(const InlineVector& from) {
    if (this != &from) assign(from.begin(), from.end());
    return *this;
  }
  InlineVector& operator=(InlineVector&& from) noexcept {
    if (this == &from) return *this;
    release();
    take(from);
    return *this;
  }
  InlineVector& operator=(std::initializer_list<T> list) {
    assign(list.begin(), list.end());
    return *this;
  }
  operator std::vector<T>() const { return std::vector<T>(begin(), end()); }

  size_type size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  size_type capacity() const noexcept { return capacity_; }
  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  T& operator[](size_type i) { return data_[i]; }
  const T& operator[](size_type i) const { return data_[i]; }
  T& at(size_type i) { return data_[checked(i)]; }
  const T& at(size_type i) const { return data_[checked(i)]; }
  T& front() { return *begin(); }
  const T& front() const { return *begin(); }
  T& back() { return end()[-1]; }
  const T& back() const { return end()[-1]; }

  iterator begin() noexcept { return data_; }
  iterator end() noexcept { return data_ + size_; }
  const_iterator begin() const noexcept { return data_; }
  const_iterator end() const noexcept { return data_ + size_; }
  const_iterator cbegin() const noexcept { return begin(); }
  const_iterator cend() const noexcept { return end(); }
  reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }
  reverse_iterator rend() noexcept { return reverse_iterator(begin()); }
  const_reverse_iterator rbegin() const noexcept { return const_reverse_iterator(end()); }
  const_reverse_iterator rend() const noexcept { return const_reverse_iterator(begin()); }

  void reserve(size_type n) {
    if (n > capacity_) grow(n);
  }
  template <class... Args>
  T& emplace_back(Args&&... args) {
    if (size_ < capacity_) return *std::construct_at(data_ + size_++, std::forward<Args>(args)...);
    T value(std::forward<Args>(args)...);  // before what it may be made of moves
    grow(size_ + 1);
    return *std::construct_at(data_ + size_++, std::move(value));
  }
  void push_back(const T& value) { emplace_back(value); }
  void push_back(T&& value) { emplace_back(std::move(value)); }
  void pop_back() { std::destroy_at(data_ + --size_); }
  void clear() noexcept { shrink(0); }
  void resize(size_type n) {
    if (n < size_) shrink(n);
    reserve(n);
    for (; size_ < n; ++size_) std::construct_at(data_ + size_);
  }
  void resize(size_type n, const T& value) {
    if (n > size_) return append(n - size_, T(value));
    shrink(n);
  }
  void assign(size_type n, const T& value) {
    const T kept(value);  // it may be one of ours
    clear();
    append(n, kept);
  }
  // Not of this vector itself.
  template <std::input_iterator It>
  void assign(It first, It last) {
    clear();
    append(first, last);
  }
  iterator insert(const_iterator at, T value) {
    const difference_type index = at - begin();
    push_back(std::move(value));
    std::rotate(begin() + index, end() - 1, end());
    return begin() + index;
  }
  // Not of this vector itself.
  template <std::input_iterator It>
  iterator insert(const_iterator at, It first, It last) {
    const difference_type index = at - begin(), before = end() - begin();
    append(first, last);
    std::rotate(begin() + index, begin() + before, end());
    return begin() + index;
  }
  iterator insert(const_iterator at, size_type n, const T& value) {
    const difference_type index = at - begin(), before = end() - begin();
    append(n, T(value));
    std::rotate(begin() + index, begin() + before, end());
    return begin() + index;
  }
  iterator insert(const_iterator at, std::initializer_list<T> list) {
    return insert(at, list.begin(), list.end());
  }
  iterator erase(const_iterator at) { return erase(at, at + 1); }
  iterator erase(const_iterator first, const_iterator last) {
    const iterator to = begin() + (first - begin());
    if (first == last) return to;  // nothing is moved onto itself
    shrink(static_cast<size_type>(std::move(begin() + (last - begin()), end(), to) - begin()));
    return to;
  }
  void swap(InlineVector& other) noexcept { std::swap(*this, other); }

  friend bool operator==(const InlineVector& a, const InlineVector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  friend auto operator<=>(const InlineVector& a,
                          const InlineVector& b) requires std::three_way_comparable<T> {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  T* inside() noexcept { return reinterpret_cast<T*>(inside_); }
  bool on_heap() const noexcept { return capacity_ > N; }

  size_type checked(size_type i) const {
    if (i >= size_) throw std::out_of_range("InlineVector::at");
    return i;
  }
  template <class It>
  void append(It first, It last) {
    if constexpr (std::forward_iterator<It>) {
      reserve(size_ + static_cast<size_type>(std::distance(first, last)));
      for (; first != last; ++first, ++size_) std::construct_at(data_ + size_, *first);
    } else {
      for (; first != last; ++first) emplace_back(*first);
    }
  }
  void append(size_type n, const T& value) {
    reserve(size_ + n);
    for (; n > 0; --n, ++size_) std::construct_at(data_ + size_, value);
  }
  void shrink(size_type n) noexcept {
    std::destroy(data_ + n, data_ + size_);
    size_ = static_cast<std::uint32_t>(n);
  }
  // Room for `least` or twice what there was. A move of T does not throw.
  void grow(size_type least) {
    const size_type capacity = std::max<size_type>(least, size_type{2} * capacity_);
    T* const block = std::allocator<T>().allocate(capacity);
    std::uninitialized_move(begin(), end(), block);
    std::destroy(begin(), end());
    free_block();
    data_ = block;
    capacity_ = static_cast<std::uint32_t>(capacity);
  }
  // Of an empty one: the elements of `from`, which is left empty.
  void take(InlineVector& from) noexcept {
    if (from.on_heap()) {
      data_ = std::exchange(from.data_, from.inside());
      capacity_ = std::exchange(from.capacity_, static_cast<std::uint32_t>(N));
      size_ = std::exchange(from.size_, 0);
      return;
    }
    std::uninitialized_move(from.begin(), from.end(), data_);
    size_ = from.size_;
    from.shrink(0);
  }
  // Back to an empty one without a block.
  void release() noexcept {
    shrink(0);
    free_block();
    data_ = inside();
    capacity_ = N;
  }
  void free_block() noexcept {
    if (on_heap()) std::allocator<T>().deallocate(data_, capacity_);
  }

  T* data_ = inside();
  std::uint32_t size_ = 0, capacity_ = N;
  alignas(T) std::byte inside_[N * sizeof(T)];
};

}  // namespace flame
