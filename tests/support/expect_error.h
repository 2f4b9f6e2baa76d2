// Expects an error of exactly one class, whose message names what it must.
#pragma once
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <typeinfo>

namespace flame::test {

// `call` must throw an E, no subclass or sibling of it, whose message contains every mention.
template <class E, class Call>
void expect_error(Call&& call, std::initializer_list<std::string_view> mentions = {}) {
  try {
    call();
  } catch (const E& e) {
    EXPECT_STREQ(typeid(e).name(), typeid(E).name()) << e.what();
    for (std::string_view mention : mentions)
      EXPECT_NE(std::string_view(e.what()).find(mention), std::string_view::npos)
          << "\"" << e.what() << "\" does not mention \"" << mention << "\"";
    return;
  } catch (const std::exception& e) {
    ADD_FAILURE() << "expected " << typeid(E).name() << ", got " << typeid(e).name() << ": "
                  << e.what();
    return;
  }
  ADD_FAILURE() << "expected " << typeid(E).name() << ", nothing was thrown";
}

}  // namespace flame::test
