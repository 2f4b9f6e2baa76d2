// The tables of the history. A file whose tables are not exactly these is not the history.
#pragma once
#include <array>

namespace flame::history {

inline constexpr int kApplicationId = 0x464C4D48;  // "FLMH"
inline constexpr int kSchemaVersion = 1;

struct Table {
  const char* name;
  const char* sql;
};
inline constexpr std::array kTables{
    Table{"schema_version",
          "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, flame TEXT NOT NULL) STRICT"},
    Table{"run",
          "CREATE TABLE run (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE, "
          "started_utc TEXT NOT NULL, commit_id TEXT NOT NULL, dirty INTEGER NOT NULL, "
          "device_kind TEXT NOT NULL, device_name TEXT NOT NULL, command TEXT NOT NULL, "
          "manifest TEXT NOT NULL, UNIQUE (started_utc, commit_id, device_name, command)) STRICT"},
    Table{"series",
          "CREATE TABLE series (id INTEGER PRIMARY KEY, case_name TEXT NOT NULL, op TEXT NOT NULL, "
          "direction TEXT NOT NULL, dtype TEXT NOT NULL, sizes TEXT NOT NULL, "
          "compute_mode TEXT NOT NULL, temperature TEXT NOT NULL, implementation TEXT NOT NULL, "
          "gpu TEXT NOT NULL, driver TEXT NOT NULL, cuda TEXT NOT NULL, harness TEXT NOT NULL, "
          "UNIQUE (case_name, op, direction, dtype, sizes, compute_mode, temperature, "
          "implementation, gpu, driver, cuda, harness)) STRICT"},
    Table{"sample",
          "CREATE TABLE sample (run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, "
          "series_id INTEGER NOT NULL REFERENCES series (id), median_us REAL NOT NULL, "
          "line TEXT NOT NULL, PRIMARY KEY (series_id, run_id)) STRICT, WITHOUT ROWID"},
    Table{"worst_r",
          "CREATE TABLE worst_r (run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, "
          "op TEXT NOT NULL, check_name TEXT NOT NULL, dtype TEXT NOT NULL, r TEXT NOT NULL, "
          "case_name TEXT NOT NULL, passed INTEGER NOT NULL, failed INTEGER NOT NULL, "
          "not_run INTEGER NOT NULL, PRIMARY KEY (op, check_name, dtype, run_id)) "
          "STRICT, WITHOUT ROWID"},
};

}  // namespace flame::history
