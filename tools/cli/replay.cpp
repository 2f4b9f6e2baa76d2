// flame replay: case files that others made, run on a device and judged.
#include "conformance/replay/replay.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "conformance/runner/device_factory.h"
#include "conformance/runner/session.h"
#include "lib/core/error.h"
#include "reports/report.h"
#include "tools/cli/command.h"
#include "tools/cli/environment.h"
#include "tools/cli/terminal.h"

namespace flame::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Asked {
  std::vector<std::string> files;
  std::string device, out;
  bool skip_unknown = false, json = false;
};

// A file that was not run, and why.
struct Refused {
  std::string file, why;
};

struct Outcome {
  records::Run run;
  std::vector<Refused> skipped;  // unknown ops, when asked to skip them
  std::vector<Refused> refused;
};

void replay_one(const std::string& path, const Asked& asked, conformance::Rig& rig,
                const std::string& device, Outcome& out) {
  try {
    const auto file = io::SafetensorsFile::open(path);
    const std::string op = conformance::case_op(file);
    try {
      find_op(op);
    } catch (const UnknownOpError& e) {
      (asked.skip_unknown ? out.skipped : out.refused).push_back({path, e.what()});
      return;
    }
    for (records::Record& r : conformance::replay(conformance::read_case(file), rig, device))
      out.run.records.push_back(std::move(r));
  } catch (const FileError& e) {
    out.refused.push_back({path, e.what()});
  } catch (const ValueError& e) {
    out.refused.push_back({path, e.what()});
  }
}

void write_folder(const std::string& folder, const Outcome& out) {
  conformance::RunFolder files(folder);
  for (const records::Record& r : out.run.records) files.write(r);
  files.write(out.run.manifest);
}

int exit_code(const Outcome& out, const reports::Summary& summary) {
  if (summary.all.failed > 0) return kFailure;
  if (!out.refused.empty()) return kUsage;
  return summary.all.passed > 0 ? kPass : kInconclusive;
}

Json to_json(const std::vector<Refused>& list) {
  Json out = Json::array();
  for (const Refused& r : list) out.push_back({{"file", r.file}, {"why", r.why}});
  return out;
}

void print_json(const Outcome& out, const reports::Summary& summary, int code) {
  Json records = Json::array();
  for (const records::Record& r : out.run.records)
    records.push_back(Json::parse(records::to_line(r)));
  const Json json{{"schema", "flame-replay/1"},
                  {"exit_code", code},
                  {"device_kind", out.run.manifest.device_kind},
                  {"device_name", out.run.manifest.device_name},
                  {"passed", summary.all.passed},
                  {"failed", summary.all.failed},
                  {"skipped", to_json(out.skipped)},
                  {"refused", to_json(out.refused)},
                  {"records", records}};
  std::cout << json.dump(2) << '\n';
}

void print_text(const Outcome& out, const reports::Summary& summary) {
  Table table({"case", "dtype", "oracle r", "forward r", "backward r", ""});
  for (std::size_t i = 0; i < out.run.records.size();) {
    const std::string& name = out.run.records[i].case_name;
    std::vector<std::string> row{name, out.run.records[i].dtype, "-", "-", "-"};
    bool pass = true;
    for (; i < out.run.records.size() && out.run.records[i].case_name == name; ++i) {
      const records::Record& r = out.run.records[i];
      for (std::size_t c = 0; c < 3; ++c)
        if (r.check == conformance::kReplayChecks[c]) row[2 + c] = reports::format_r(r.r);
      pass &= r.verdict == records::Verdict::kPass;
    }
    row.push_back(pass ? paint("pass", Colour::kGreen) : paint("FAIL", Colour::kRed));
    table.add(std::move(row));
  }
  if (!table.empty()) table.print(std::cout);
  for (const records::Record* r : summary.failures)
    std::cout << paint("failed", Colour::kRed) << "  " << r->case_name << " " << r->check << ": "
              << r->reason << "\n  " << r->reproduce << '\n';
  for (const Refused& r : out.refused)
    std::cout << paint("refused", Colour::kRed) << "  " << r.file << ": " << r.why << '\n';
  std::cout << summary.all.passed << " checks passed, " << summary.all.failed << " failed, "
            << out.skipped.size() << " files skipped (unknown ops), " << out.refused.size()
            << " refused, on " << out.run.manifest.device_name << " ("
            << out.run.manifest.device_kind << ")\n";
}

int replay(const Asked& asked) {
  conformance::VerifyOptions options;
  options.device = choose_device(asked.device);
  options.jobs = 1;
  const auto rig = conformance::open_rig(options);
  Outcome out;
  Progress progress;
  for (std::size_t i = 0; i < asked.files.size(); ++i) {
    progress.show(std::int64_t(i), std::int64_t(asked.files.size()), 0, asked.files[i]);
    replay_one(asked.files[i], asked, *rig, options.device, out);
  }
  progress.finish();
  out.run.manifest = conformance::describe(options, *rig);
  complete_manifest(out.run.manifest);
  out.run.manifest.level = "replay";
  out.run.manifest.checks.assign(std::begin(conformance::kReplayChecks),
                                 std::end(conformance::kReplayChecks));
  out.run.manifest.planned = std::int64_t(out.run.records.size());
  const reports::Summary summary = reports::summarise(out.run);
  if (!asked.out.empty()) write_folder(asked.out, out);
  const int code = exit_code(out, summary);
  if (asked.json) {
    print_json(out, summary, code);
  } else {
    print_text(out, summary);
  }
  return code;
}

}  // namespace

Command add_replay(CLI::App& root) {
  CLI::App* app = root.add_subcommand("replay", "Run case files and judge what comes out");
  auto asked = std::make_shared<Asked>();
  app->add_option("files", asked->files, "Case files (safetensors, flame-case/1)")->required();
  app->add_option("--device", asked->device, "cuda, cuda:N or sim; default: cuda");
  app->add_flag("--skip-unknown", asked->skip_unknown,
                "Files of ops that FLAME does not have are no error");
  app->add_option("--out", asked->out, "Folder for the records");
  app->add_flag("--json", asked->json, "One JSON object on stdout");
  return {app, [asked] { return replay(*asked); }};
}

}  // namespace flame::cli
