#include "reports/history/store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <tuple>

#include "lib/core/error.h"
#include "reports/history/schema.h"

namespace flame::history {

struct Store::Database {
  std::string path;
  SQLite::Database sql;
};

namespace {

// Every error of SQLite as one sentence that names the file.
template <class Work>
auto guarded(const std::string& path, Work work) {
  try {
    return work();
  } catch (const SQLite::Exception& e) {
    const int code = e.getErrorCode() & 0xff;
    const char* why = code == SQLITE_NOTADB    ? "is not a SQLite database"
                      : code == SQLITE_CORRUPT ? "is damaged"
                      : code == SQLITE_BUSY || code == SQLITE_LOCKED
                          ? "is locked by another program"
                      : code == SQLITE_CANTOPEN                        ? "cannot be opened"
                      : code == SQLITE_READONLY || code == SQLITE_PERM ? "cannot be written"
                      : code == SQLITE_FULL                            ? "has no room on its disk"
                                                                       : "cannot be used";
    throw FileError(str_cat("history: ", path, " ", why, " (", e.what(), ")"));
  }
}

std::int64_t number(const SQLite::Database& sql, const char* query) {
  SQLite::Statement statement(sql, query);
  statement.executeStep();
  return statement.getColumn(0).getInt64();
}

SQLite::Database open(const std::string& path, Access access, int wait_ms) {
  const bool there = std::filesystem::exists(path);
  check<FileError>(there || access == Access::kWrite, "history: ", path, " does not exist");
  check<FileError>(!there || std::filesystem::is_regular_file(path), "history: ", path,
                   " is not a file");
  const int flags = access == Access::kRead ? SQLite::OPEN_READONLY
                                            : SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE;
  return guarded(path, [&] { return SQLite::Database(path, flags, wait_ms); });
}

// All or nothing: a program killed here leaves an empty database, which the next one fills.
void create_tables(SQLite::Database& sql) {
  for (const Table& table : kTables) sql.exec(table.sql);
  sql.exec(str_cat("PRAGMA application_id = ", kApplicationId));
  SQLite::Statement version(sql, "INSERT INTO schema_version VALUES (?, ?)");
  version.bind(1, kSchemaVersion);
  version.bind(2, records::kBenchSchema);
  version.exec();
}

// A foreign file may hold tables, views and triggers of our names: everything must be as we made
// it.
void require_ours(const std::string& path, SQLite::Database& sql) {
  check<FileError>(number(sql, "PRAGMA application_id") == kApplicationId, "history: ", path,
                   " is a database of something else");
  std::map<std::string, std::string> found;
  SQLite::Statement all(sql, "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL");
  while (all.executeStep()) found[all.getColumn(0).getString()] = all.getColumn(1).getString();
  if (found.contains("schema_version")) {
    const std::int64_t version = number(sql, "SELECT max(version) FROM schema_version");
    check<FileError>(version == kSchemaVersion, "history: ", path, " has schema ", version,
                     ", this program knows ", kSchemaVersion);
  }
  for (const Table& table : kTables)
    check<FileError>(found[table.name] == table.sql, "history: ", path, ": table ", table.name,
                     " is not what it should be");
  check<FileError>(found.size() == kTables.size(), "history: ", path, " holds more than a history");
}

void prepare(const std::string& path, SQLite::Database& sql, Access access) {
  guarded(path, [&] {
    sql.exec("PRAGMA foreign_keys = ON");
    sql.exec("PRAGMA trusted_schema = OFF");
    sql.exec("PRAGMA cell_size_check = ON");
    if (access == Access::kWrite && number(sql, "SELECT count(*) FROM sqlite_schema") == 0) {
      check<FileError>(number(sql, "PRAGMA application_id") == 0, "history: ", path,
                       " is a database of something else");
      sql.exec("PRAGMA journal_mode = WAL");
      SQLite::Transaction transaction(sql, SQLite::TransactionBehavior::IMMEDIATE);
      // Another program may have made them while this one waited.
      if (number(sql, "SELECT count(*) FROM sqlite_schema") == 0) create_tables(sql);
      transaction.commit();
    }
    require_ours(path, sql);
    if (access == Access::kWrite) {
      sql.exec("PRAGMA journal_mode = WAL");
      sql.exec("PRAGMA synchronous = FULL");
    }
  });
}

void bind_all(SQLite::Statement& statement, int) { (void)statement; }
template <class First, class... Rest>
void bind_all(SQLite::Statement& statement, int at, const First& first, const Rest&... rest) {
  statement.bind(at, first);
  bind_all(statement, at + 1, rest...);
}
template <class... Values>
void insert(SQLite::Statement& statement, const Values&... values) {
  statement.reset();
  bind_all(statement, 1, values...);
  statement.exec();
}

void bind_key(SQLite::Statement& s, const SeriesKey& k) {
  s.reset();
  bind_all(s, 1, k.case_name, k.op, k.direction, k.dtype, k.sizes, k.compute_mode, k.temperature,
           k.implementation, k.gpu, k.driver, k.cuda, k.harness);
}

void insert_rows(SQLite::Database& sql, std::int64_t run,
                 const std::vector<records::BenchRow>& rows) {
  SQLite::Statement add(sql,
                        "INSERT INTO series (case_name, op, direction, dtype, sizes, compute_mode, "
                        "temperature, implementation, gpu, driver, cuda, harness) VALUES "
                        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
  SQLite::Statement find(
      sql,
      "SELECT id FROM series WHERE case_name = ? AND op = ? AND direction = ? "
      "AND dtype = ? AND sizes = ? AND compute_mode = ? AND temperature = ? AND "
      "implementation = ? AND gpu = ? AND driver = ? AND cuda = ? AND harness = ?");
  SQLite::Statement sample(sql, "INSERT INTO sample VALUES (?, ?, ?, ?)");
  for (const records::BenchRow& row : rows) {
    const SeriesKey key = key_of(row);
    bind_key(add, key);
    add.exec();
    bind_key(find, key);
    find.executeStep();
    records::BenchRow kept = row;
    kept.times_us.clear();
    insert(sample, run, find.getColumn(0).getInt64(), row.median_us, records::to_line(kept));
  }
}

// NaN and infinities have no place in a REAL column, and NaN is the worst of all.
std::string text_of(double r) {
  if (std::isnan(r)) return "nan";
  if (std::isinf(r)) return r < 0 ? "-inf" : "inf";
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", r);
  return text;
}
double number_of(const std::string& text, const std::string& path) {
  char* end = nullptr;
  const double r = std::strtod(text.c_str(), &end);
  check<FileError>(!text.empty() && *end == '\0', "history: ", path, ": \"", text,
                   "\" is no value of r");
  return r;
}

void insert_worst(SQLite::Database& sql, std::int64_t run,
                  const std::vector<records::Record>& all) {
  std::map<std::tuple<std::string, std::string, std::string>, RPoint> worst;
  for (const records::Record& record : all) {
    RPoint& point = worst[{record.op, record.check, record.dtype}];
    point.passed += record.verdict == records::Verdict::kPass;
    point.failed += record.verdict == records::Verdict::kFail;
    point.not_run += record.verdict == records::Verdict::kNotRun;
    if (std::isnan(point.r) || !(std::isnan(record.r) || record.r > point.r)) continue;
    point.r = record.r;
    point.case_name = record.case_name;
  }
  SQLite::Statement add(sql, "INSERT INTO worst_r VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  for (const auto& [key, point] : worst) {
    const auto& [op, check_name, dtype] = key;
    insert(add, run, op, check_name, dtype, text_of(point.r), point.case_name, point.passed,
           point.failed, point.not_run);
  }
}

}  // namespace

Store::Store(const std::string& path, Access access, int wait_ms)
    : db_(new Database{path, open(path, access, wait_ms)}) {
  prepare(path, db_->sql, access);
}
Store::~Store() = default;

bool Store::record(const RunInput& run) {
  return guarded(db_->path, [&] {
    SQLite::Transaction transaction(db_->sql, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement same(db_->sql, "SELECT id FROM run WHERE content = ?");
    same.bind(1, run.content);
    if (same.executeStep()) return false;
    const records::RunManifest& m = run.manifest;
    SQLite::Statement other(db_->sql,
                            "SELECT id FROM run WHERE started_utc = ? AND commit_id = ? AND "
                            "device_name = ? AND command = ?");
    bind_all(other, 1, m.started_utc, m.commit, m.device_name, m.command);
    check<FileError>(!other.executeStep(), "history: ", db_->path, ": the run of ", m.started_utc,
                     " (", m.command, ") is there with other contents");
    SQLite::Statement add(db_->sql,
                          "INSERT INTO run (content, started_utc, commit_id, dirty, device_kind, "
                          "device_name, command, manifest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    insert(add, run.content, m.started_utc, m.commit, int(m.dirty), m.device_kind, m.device_name,
           m.command, records::to_json(m));
    const std::int64_t id = db_->sql.getLastInsertRowid();
    insert_rows(db_->sql, id, run.rows);
    insert_worst(db_->sql, id, run.records);
    transaction.commit();
    return true;
  });
}

std::size_t Store::runs() const {
  return guarded(db_->path,
                 [&] { return std::size_t(number(db_->sql, "SELECT count(*) FROM run")); });
}

std::vector<Series> Store::series() const {
  return guarded(db_->path, [&] {
    std::vector<Series> out;
    SQLite::Statement all(db_->sql,
                          "SELECT series_id, started_utc, commit_id, line FROM sample JOIN run ON "
                          "run.id = run_id ORDER BY series_id, started_utc, run_id");
    std::int64_t current = -1;
    while (all.executeStep()) {
      Sample sample{all.getColumn(1), all.getColumn(2), {}};
      try {
        sample.row = records::parse_bench_row(all.getColumn(3));
      } catch (const FileError& e) {
        throw FileError(str_cat("history: ", db_->path, ": ", e.what()));
      }
      if (all.getColumn(0).getInt64() != current) {
        current = all.getColumn(0).getInt64();
        out.push_back({key_of(sample.row), {}});
      }
      out.back().samples.push_back(std::move(sample));
    }
    std::sort(out.begin(), out.end(),
              [](const Series& a, const Series& b) { return a.key < b.key; });
    return out;
  });
}

std::vector<RSeries> Store::worst_r() const {
  return guarded(db_->path, [&] {
    std::map<std::tuple<std::string, std::string, std::string, std::string, std::string>, RSeries>
        found;
    SQLite::Statement all(db_->sql,
                          "SELECT op, check_name, dtype, device_kind, device_name, started_utc, "
                          "commit_id, case_name, r, passed, failed, not_run FROM worst_r JOIN run "
                          "ON run.id = run_id ORDER BY started_utc, run_id");
    while (all.executeStep()) {
      const auto text = [&](int column) { return all.getColumn(column).getString(); };
      RSeries& s = found[{text(0), text(1), text(2), text(3), text(4)}];
      if (s.points.empty()) s = {text(0), text(1), text(2), text(3), text(4), {}};
      s.points.push_back({text(5), text(6), text(7), number_of(text(8), db_->path),
                          all.getColumn(9).getInt64(), all.getColumn(10).getInt64(),
                          all.getColumn(11).getInt64()});
    }
    std::vector<RSeries> out;
    for (auto& [key, s] : found) out.push_back(std::move(s));
    return out;
  });
}

void Store::check_integrity() const {
  guarded(db_->path, [&] {
    SQLite::Statement pages(db_->sql, "PRAGMA integrity_check");
    pages.executeStep();
    const std::string said = pages.getColumn(0);
    check<FileError>(said == "ok", "history: ", db_->path, " is damaged (", said, ")");
    SQLite::Statement references(db_->sql, "PRAGMA foreign_key_check");
    check<FileError>(!references.executeStep(), "history: ", db_->path,
                     " refers to what is not there");
  });
}

}  // namespace flame::history
