// How the lines of a run are read and written: exactly the fields of a struct, each named once in a
// visit function that both the writer and the reader walk, so that they cannot disagree.
#pragma once
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "lib/core/error.h"

namespace flame::records {

// Insertion order: a line reads in the order of the struct.
using OrderedJson = nlohmann::ordered_json;

class FieldWriter {
 public:
  OrderedJson json = OrderedJson::object();

  template <class T>
  void operator()(const char* name, const T& value) {
    json[name] = value;
  }
  void operator()(const char* name, double value) { json[name] = number(value); }
  // A field that a line may lack: then it has the value `absent`, which is never written.
  template <class T>
  void optional(const char* name, const T& value, const T& absent) {
    if (value != absent) (*this)(name, value);
  }
  void operator()(const char* name, const std::vector<double>& values) {
    json[name] = OrderedJson::array();
    for (const double value : values) json[name].push_back(number(value));
  }

 private:
  // JSON has no such numbers.
  static OrderedJson number(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    return value;
  }
};

// Throws FileError that begins with `what` and names the field.
class FieldReader {
 public:
  FieldReader(const OrderedJson& json, const char* what) : json_(json), what_(what) {
    check<FileError>(json.is_object(), what_, ": not a JSON object");
  }

  void read_schema(const char* schema) {
    const auto found = json_.find("schema");
    check<FileError>(found != json_.end(), what_, ": no \"schema\"");
    check<FileError>(*found == schema, what_, ": schema ", found->dump(), ", expected \"", schema,
                     "\"");
    seen_.insert("schema");
  }
  void operator()(const char* name, std::string& to) {
    const OrderedJson& value = take(name);
    require(value.is_string(), name, "a string");
    to = value.get<std::string>();
  }
  void operator()(const char* name, bool& to) {
    const OrderedJson& value = take(name);
    require(value.is_boolean(), name, "true or false");
    to = value.get<bool>();
  }
  void operator()(const char* name, std::int64_t& to) {
    const OrderedJson& value = take(name);
    const bool fits =
        value.is_number_integer() &&
        (!value.is_number_unsigned() ||
         value.get<std::uint64_t>() <= std::uint64_t(std::numeric_limits<std::int64_t>::max()));
    require(fits && value.get<std::int64_t>() >= 0, name, "a count");
    to = value.get<std::int64_t>();
  }
  void operator()(const char* name, double& to) { to = number(take(name), name); }
  void operator()(const char* name, std::vector<double>& to) {
    const OrderedJson& value = take(name);
    require(value.is_array(), name, "a list of numbers");
    for (const OrderedJson& item : value) to.push_back(number(item, name));
  }
  template <class T>
  void optional(const char* name, T& to, const T& absent) {
    to = absent;
    if (json_.contains(name)) (*this)(name, to);
  }
  // Every key was one we know: a field that a reader drops in silence is a claim lost.
  void finish() const {
    for (const auto& [key, value] : json_.items())
      check<FileError>(seen_.contains(key), what_, ": unknown field \"", key, "\"");
  }

 protected:
  const OrderedJson& take(const char* name) {
    const auto found = json_.find(name);
    check<FileError>(found != json_.end(), what_, ": field \"", name, "\" is missing");
    seen_.insert(name);
    return *found;
  }
  void require(bool ok, const char* name, const char* wanted) const {
    check<FileError>(ok, what_, ": field \"", name, "\" is not ", wanted);
  }
  const char* what() const { return what_; }

 private:
  double number(const OrderedJson& value, const char* name) const {
    if (value.is_string()) {
      const std::string text = value.get<std::string>();
      require(text == "nan" || text == "inf" || text == "-inf", name, "a number");
      if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
      return std::copysign(std::numeric_limits<double>::infinity(), text == "inf" ? 1.0 : -1.0);
    }
    require(value.is_number(), name, "a number");
    return value.get<double>();
  }

  const OrderedJson& json_;
  const char* what_;
  std::set<std::string> seen_;
};

// Throws FileError on what is no JSON, and on a key given twice: the parser keeps the last of two
// equal keys, which here is a lie to be refused.
inline OrderedJson parse_strictly(const std::string& text, const char* what) {
  std::vector<std::set<std::string>> keys;
  std::string twice;
  const auto watch = [&](int, OrderedJson::parse_event_t event, OrderedJson& value) {
    if (event == OrderedJson::parse_event_t::object_start) keys.emplace_back();
    if (event == OrderedJson::parse_event_t::object_end) keys.pop_back();
    if (event == OrderedJson::parse_event_t::key &&
        !keys.back().insert(value.get<std::string>()).second)
      twice = value.get<std::string>();
    return true;
  };
  try {
    OrderedJson json = OrderedJson::parse(text, watch);
    check<FileError>(twice.empty(), what, ": field \"", twice, "\" is given twice");
    return json;
  } catch (const OrderedJson::exception& e) {
    throw FileError(str_cat(what, ": ", e.what()));
  }
}

// Calls `parse_one` for every line of the file; errors get its name and the line's number.
// `running`: nobody has ended the run, so that its last line may be half a line.
template <class Parse>
auto read_lines(const std::string& path, Parse parse_one, bool running = false) {
  std::vector<decltype(parse_one(std::string()))> out;
  std::ifstream in(path, std::ios::binary);
  check<FileError>(bool(in), path, ": cannot be opened");
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (running && in.eof()) break;
    try {
      out.push_back(parse_one(line));
    } catch (const FileError& e) {
      throw FileError(str_cat(path, ":", number, ": ", e.what()));
    }
  }
  return out;
}

}  // namespace flame::records
