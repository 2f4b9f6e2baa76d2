#include "reports/record.h"

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "lib/core/error.h"

namespace flame::records {
namespace {

// Insertion order: a line reads in the order of the struct.
using Json = nlohmann::ordered_json;

constexpr std::array kVerdicts{"pass", "fail", "not_run"};

// Each struct's fields, named once: the writer and the reader both walk this list, so that they
// cannot disagree.
template <class Visit, class R>
void visit_record(Visit& v, R& r) {
  v("op", r.op);
  v("case", r.case_name);
  v("dtype", r.dtype);
  v("layout", r.layout);
  v("check", r.check);
  v("verdict", r.verdict);
  v("reason", r.reason);
  v("r", r.r);
  v("where", r.where);
  v("compared", r.compared);
  v("kernels", r.kernels);
  v("witness", r.witness);
  v("device_kind", r.device_kind);
  v("seed", r.seed);
  v("ms", r.ms);
  v("reproduce", r.reproduce);
}

template <class Visit, class K>
void visit_kill(Visit& v, K& k) {
  v("fake", k.fake);
  v("op", k.op);
  v("check", k.check);
  v("verdict", k.verdict);
  v("caught_by", k.caught_by);
  v("reason", k.reason);
  v("allclose", k.allclose);
  v("ggml_nmse", k.ggml_nmse);
  v("jax_scaled", k.jax_scaled);
  v("sum_loss", k.sum_loss);
  v("device_kind", k.device_kind);
  v("seed", k.seed);
}

template <class Visit, class O>
void visit_op(Visit& v, O& op) {
  v("name", op.name);
  v("kind", op.kind);
  v("differentiable", op.differentiable);
  v("dtypes", op.dtypes);
  v("kernels", op.kernels);
}

template <class Visit, class M>
void visit_manifest(Visit& v, M& m) {
  v("device_kind", m.device_kind);
  v("device_name", m.device_name);
  v("arch", m.arch);
  v("driver_version", m.driver_version);
  v("cuda_version", m.cuda_version);
  v("witness", m.witness);
  v("flame_version", m.flame_version);
  v("commit", m.commit);
  v("compiler", m.compiler);
  v("build_type", m.build_type);
  v("level", m.level);
  v("command", m.command);
  v("started_utc", m.started_utc);
  v("dirty", m.dirty);
  v("seed", m.seed);
  v("seconds", m.seconds);
  v("planned", m.planned);
  v("ops", m.ops);
  v("checks", m.checks);
  v("exported_kernels", m.exported_kernels);
  v("environment", m.environment);
}

class Writer {
 public:
  Json json = Json::object();

  template <class T>
  void operator()(const char* name, const T& value) {
    json[name] = value;
  }
  void operator()(const char* name, double value) {
    // JSON has no such numbers.
    if (std::isnan(value)) {
      json[name] = "nan";
    } else if (std::isinf(value)) {
      json[name] = value < 0 ? "-inf" : "inf";
    } else {
      json[name] = value;
    }
  }
  void operator()(const char* name, Verdict value) { json[name] = to_string(value); }
  void operator()(const char* name, const std::vector<OpInfo>& ops) {
    json[name] = Json::array();
    for (const OpInfo& op : ops) {
      Writer inner;
      visit_op(inner, op);
      json[name].push_back(std::move(inner.json));
    }
  }
  void operator()(const char* name, const std::vector<std::pair<std::string, std::string>>& pairs) {
    json[name] = Json::object();
    for (const auto& [key, value] : pairs) json[name][key] = value;
  }
};

class Reader {
 public:
  Reader(const Json& json, const char* what) : json_(json), what_(what) {
    check<FileError>(json.is_object(), what_, ": not a JSON object");
  }

  void operator()(const char* name, std::string& to) {
    const Json& value = take(name);
    require(value.is_string(), name, "a string");
    to = value.get<std::string>();
  }
  void operator()(const char* name, bool& to) {
    const Json& value = take(name);
    require(value.is_boolean(), name, "true or false");
    to = value.get<bool>();
  }
  void operator()(const char* name, std::int64_t& to) {
    const Json& value = take(name);
    const bool fits =
        value.is_number_integer() &&
        (!value.is_number_unsigned() ||
         value.get<std::uint64_t>() <= std::uint64_t(std::numeric_limits<std::int64_t>::max()));
    require(fits && value.get<std::int64_t>() >= 0, name, "a count");
    to = value.get<std::int64_t>();
  }
  void operator()(const char* name, std::uint64_t& to) {
    const Json& value = take(name);
    require(value.is_number_unsigned(), name, "an unsigned 64-bit integer");
    to = value.get<std::uint64_t>();
  }
  void operator()(const char* name, double& to) {
    const Json& value = take(name);
    if (value.is_string()) {
      const std::string text = value.get<std::string>();
      require(text == "nan" || text == "inf" || text == "-inf", name, "a number");
      to = text == "nan"
               ? std::numeric_limits<double>::quiet_NaN()
               : std::copysign(std::numeric_limits<double>::infinity(), text == "inf" ? 1.0 : -1.0);
      return;
    }
    require(value.is_number(), name, "a number");
    to = value.get<double>();
  }
  void operator()(const char* name, Verdict& to) {
    const Json& value = take(name);
    require(value.is_string(), name, "a verdict");
    for (std::size_t i = 0; i < kVerdicts.size(); ++i) {
      if (value.get<std::string>() == kVerdicts[i]) {
        to = Verdict(i);
        return;
      }
    }
    require(false, name, "pass, fail or not_run");
  }
  void operator()(const char* name, std::vector<std::string>& to) {
    const Json& value = take(name);
    require(value.is_array(), name, "a list of strings");
    for (const Json& item : value) {
      require(item.is_string(), name, "a list of strings");
      to.push_back(item.get<std::string>());
    }
  }
  void operator()(const char* name, std::vector<OpInfo>& to) {
    const Json& value = take(name);
    require(value.is_array(), name, "a list of ops");
    for (const Json& item : value) {
      Reader inner(item, what_);
      visit_op(inner, to.emplace_back());
      inner.finish();
    }
  }
  void operator()(const char* name, std::vector<std::pair<std::string, std::string>>& to) {
    const Json& value = take(name);
    require(value.is_object(), name, "an object of strings");
    for (const auto& [key, item] : value.items()) {
      require(item.is_string(), name, "an object of strings");
      to.emplace_back(key, item.template get<std::string>());
    }
  }
  void read_schema() {
    const auto found = json_.find("schema");
    check<FileError>(found != json_.end(), what_, ": no \"schema\"");
    check<FileError>(*found == kSchema, what_, ": schema ", found->dump(), ", expected \"", kSchema,
                     "\"");
    ++taken_;
  }
  // Every key was one we know: a field that a reader drops in silence is a claim lost.
  void finish() const {
    if (json_.size() == taken_) return;
    for (const auto& [key, value] : json_.items()) {
      check<FileError>(seen_.contains(key) || key == "schema", what_, ": unknown field \"", key,
                       "\"");
    }
  }

 private:
  const Json& take(const char* name) {
    const auto found = json_.find(name);
    check<FileError>(found != json_.end(), what_, ": field \"", name, "\" is missing");
    ++taken_;
    seen_.insert(name);
    return *found;
  }
  void require(bool ok, const char* name, const char* wanted) const {
    check<FileError>(ok, what_, ": field \"", name, "\" is not ", wanted);
  }

  const Json& json_;
  const char* what_;
  std::size_t taken_ = 0;
  std::set<std::string> seen_;
};

Json parse(const std::string& text, const char* what) {
  // nlohmann keeps the last of two equal keys; here that is a lie to be refused.
  std::vector<std::set<std::string>> keys;
  std::string twice;
  const auto watch = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      twice = value.get<std::string>();
    return true;
  };
  try {
    Json json = Json::parse(text, watch);
    check<FileError>(twice.empty(), what, ": field \"", twice, "\" is given twice");
    return json;
  } catch (const Json::exception& e) {
    throw FileError(str_cat(what, ": ", e.what()));
  }
}

std::string dump(const Json& json, int indent) {
  // A name with broken UTF-8 must not cost the record.
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// The conditions that tie the fields of one line together.
void require_consistent(const Record& r) {
  check<FileError>(!r.op.empty() && !r.check.empty(), "record: op and check must not be empty");
  check<FileError>(r.verdict == Verdict::kPass || !r.reason.empty(), "record: ", r.op, " ", r.check,
                   " is ", to_string(r.verdict), " without a reason");
  // Written so that NaN is caught.
  check<FileError>(r.verdict != Verdict::kPass || r.r <= 1, "record: ", r.op, " ", r.check,
                   " passes with r = ", r.r);
  check<FileError>(r.ms >= 0, "record: ", r.op, " ", r.check, " took ", r.ms, " ms");
}

void require_consistent(const Kill& k) {
  check<FileError>(!k.op.empty() && !k.fake.empty(), "kill: op and fake must not be empty");
  check<FileError>(k.verdict != Verdict::kPass || !k.caught_by.empty(), "kill: ", k.fake, " on ",
                   k.op, " is killed by nothing");
  for (const std::string* judge : {&k.allclose, &k.ggml_nmse, &k.jax_scaled, &k.sum_loss}) {
    check<FileError>(*judge == "caught" || *judge == "missed" || *judge == "n/a", "kill: ", k.fake,
                     " on ", k.op, ": another judge says \"", *judge,
                     "\", not caught, missed or n/a");
  }
}

}  // namespace

const char* to_string(Verdict v) { return kVerdicts[std::size_t(v)]; }

std::string to_line(const Record& record) {
  Writer w;
  w("schema", std::string(kSchema));
  visit_record(w, record);
  return dump(w.json, -1);
}

std::string to_line(const Kill& kill) {
  Writer w;
  w("schema", std::string(kSchema));
  visit_kill(w, kill);
  return dump(w.json, -1);
}

std::string to_json(const RunManifest& run) {
  Writer w;
  w("schema", std::string(kSchema));
  visit_manifest(w, run);
  return dump(w.json, 2);
}

Record parse_record(const std::string& line) {
  const Json json = parse(line, "record");
  Reader reader(json, "record");
  reader.read_schema();
  Record record;
  visit_record(reader, record);
  reader.finish();
  require_consistent(record);
  return record;
}

Kill parse_kill(const std::string& line) {
  const Json json = parse(line, "kill");
  Reader reader(json, "kill");
  reader.read_schema();
  Kill kill;
  visit_kill(reader, kill);
  reader.finish();
  require_consistent(kill);
  return kill;
}

RunManifest parse_manifest(const std::string& text) {
  const Json json = parse(text, "run");
  Reader reader(json, "run");
  reader.read_schema();
  RunManifest run;
  visit_manifest(reader, run);
  reader.finish();
  check<FileError>(run.device_kind == "gpu" || run.device_kind == "simulated",
                   "run: device_kind is \"", run.device_kind, "\", not gpu or simulated");
  return run;
}

}  // namespace flame::records
