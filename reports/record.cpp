#include "reports/record.h"

#include <algorithm>
#include <array>

#include "lib/core/error.h"
#include "reports/fields.h"

namespace flame::records {
namespace {

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
  v.optional("state", m.state, std::string());
  v("ops", m.ops);
  v("checks", m.checks);
  v("exported_kernels", m.exported_kernels);
  v("environment", m.environment);
}

class Writer : public FieldWriter {
 public:
  using FieldWriter::operator();
  void operator()(const char* name, Verdict value) { json[name] = to_string(value); }
  void operator()(const char* name, const std::vector<OpInfo>& ops) {
    json[name] = OrderedJson::array();
    for (const OpInfo& op : ops) {
      Writer inner;
      visit_op(inner, op);
      json[name].push_back(std::move(inner.json));
    }
  }
  void operator()(const char* name, const std::vector<std::pair<std::string, std::string>>& pairs) {
    json[name] = OrderedJson::object();
    for (const auto& [key, value] : pairs) json[name][key] = value;
  }
};

class Reader : public FieldReader {
 public:
  using FieldReader::FieldReader;
  using FieldReader::operator();
  void operator()(const char* name, std::uint64_t& to) {
    const OrderedJson& value = take(name);
    require(value.is_number_unsigned(), name, "an unsigned 64-bit integer");
    to = value.get<std::uint64_t>();
  }
  void operator()(const char* name, Verdict& to) {
    const OrderedJson& value = take(name);
    const auto found = std::find(kVerdicts.begin(), kVerdicts.end(), value);
    require(found != kVerdicts.end(), name, "pass, fail or not_run");
    to = Verdict(found - kVerdicts.begin());
  }
  void operator()(const char* name, std::vector<std::string>& to) {
    const OrderedJson& value = take(name);
    require(value.is_array(), name, "a list of strings");
    for (const OrderedJson& item : value) {
      require(item.is_string(), name, "a list of strings");
      to.push_back(item.get<std::string>());
    }
  }
  void operator()(const char* name, std::vector<OpInfo>& to) {
    const OrderedJson& value = take(name);
    require(value.is_array(), name, "a list of ops");
    for (const OrderedJson& item : value) {
      Reader inner(item, what());
      visit_op(inner, to.emplace_back());
      inner.finish();
    }
  }
  void operator()(const char* name, std::vector<std::pair<std::string, std::string>>& to) {
    const OrderedJson& value = take(name);
    require(value.is_object(), name, "an object of strings");
    for (const auto& [key, item] : value.items()) {
      require(item.is_string(), name, "an object of strings");
      to.emplace_back(key, item.template get<std::string>());
    }
  }
};

std::string dump(const OrderedJson& json, int indent) {
  // A name with broken UTF-8 must not cost the record.
  return json.dump(indent, ' ', false, OrderedJson::error_handler_t::replace);
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
  const OrderedJson json = parse_strictly(line, "record");
  Reader reader(json, "record");
  reader.read_schema(kSchema);
  Record record;
  visit_record(reader, record);
  reader.finish();
  require_consistent(record);
  return record;
}

Kill parse_kill(const std::string& line) {
  const OrderedJson json = parse_strictly(line, "kill");
  Reader reader(json, "kill");
  reader.read_schema(kSchema);
  Kill kill;
  visit_kill(reader, kill);
  reader.finish();
  require_consistent(kill);
  return kill;
}

RunManifest parse_manifest(const std::string& text) {
  const OrderedJson json = parse_strictly(text, "run");
  Reader reader(json, "run");
  reader.read_schema(kSchema);
  RunManifest run;
  visit_manifest(reader, run);
  reader.finish();
  check<FileError>(run.state.empty() || run.state == kRunning, "run: state is \"", run.state,
                   "\", not \"", kRunning, "\"");
  check<FileError>(run.device_kind == "gpu" || run.device_kind == "simulated",
                   "run: device_kind is \"", run.device_kind, "\", not gpu or simulated");
  return run;
}

}  // namespace flame::records
