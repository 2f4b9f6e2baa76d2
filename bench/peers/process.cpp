#include "bench/peers/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/judging.h"
#include "bench/output.h"
#include "lib/core/error.h"
#include "lib/core/glob.h"

namespace flame::bench {

using Json = nlohmann::ordered_json;
using reference::HostTensor;

// The program and the folder through which tensors travel.
class PeerProcess {
 public:
  explicit PeerProcess(const ProcessOptions& options) : options_(options) {
    check<ValueError>(!options.command.empty(), "bench: a peer without a command");
    int in[2] = {}, out[2] = {};
    check<Error>(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0,
                 "bench: pipe: ", std::strerror(errno));
    std::vector<std::string> words = options.command;
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    child_ = fork();
    check<Error>(child_ >= 0, "bench: fork: ", std::strerror(errno));
    if (child_ == 0) {
      dup2(in[0], 0);
      dup2(out[1], 1);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_ = in[1];
    from_ = out[0];
    signal(SIGPIPE, SIG_IGN);  // a peer that died is an answer, not the end of the run
    std::string pattern = (std::filesystem::temp_directory_path() / "flame_bench_XXXXXX").string();
    check<FileError>(mkdtemp(pattern.data()) != nullptr, "bench: no folder for a peer's tensors");
    folder_ = pattern;
  }

  ~PeerProcess() {
    stop();
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }

  const std::filesystem::path& folder() const { return folder_; }

  Json ask(const Json& question) {
    check<Error>(dead_.empty(), dead_);
    const std::string line = question.dump() + "\n";
    for (std::size_t at = 0; at < line.size();) {
      const ssize_t n = write(to_, line.data() + at, line.size() - at);
      if (n <= 0) die("closed its input");
      at += std::size_t(n);
    }
    Json answer;
    try {
      answer = Json::parse(read_line());
    } catch (const Json::exception& e) {
      die(str_cat("answered what is no JSON: ", e.what()));
    }
    if (answer.contains("error")) throw Error(answer["error"].get<std::string>());
    return answer;
  }

 private:
  [[noreturn]] void die(const std::string& how) {
    dead_ = str_cat("the peer ", options_.command[0], " ", how);
    stop();
    throw Error(dead_);
  }

  std::string read_line() {
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(options_.timeout_seconds);
    for (;;) {
      if (const std::size_t end = pending_.find('\n'); end != std::string::npos) {
        std::string line = pending_.substr(0, end);
        pending_.erase(0, end + 1);
        return line;
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          until - std::chrono::steady_clock::now());
      pollfd one{from_, POLLIN, 0};
      const int ready = left.count() > 0 ? poll(&one, 1, int(left.count())) : 0;
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) die(str_cat("did not answer within ", options_.timeout_seconds, " s"));
      char buffer[1 << 14];
      const ssize_t n = read(from_, buffer, sizeof buffer);
      if (n <= 0) die("ended");
      pending_.append(buffer, std::size_t(n));
    }
  }

  // Its end is asked for, then made.
  void stop() {
    if (child_ <= 0) return;
    close(to_);
    close(from_);
    for (int i = 0; i < 50; ++i) {
      if (waitpid(child_, nullptr, WNOHANG) == child_) {
        child_ = 0;
        return;
      }
      usleep(20000);
    }
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = 0;
  }

  ProcessOptions options_;
  pid_t child_ = 0;
  int to_ = -1, from_ = -1;
  std::string pending_, dead_;
  std::filesystem::path folder_;
};

namespace {

std::vector<double> times_in(const Json& answer, int count) {
  const auto times = answer.at("ms").get<std::vector<double>>();
  check<Error>(int(times.size()) == count, "the peer gave ", times.size(), " times, ", count,
               " were asked for");
  return times;
}

// Json's own exceptions are no Error: an answer that lacks a field must not end the run.
template <class F>
auto answered(F&& f) {
  try {
    return f();
  } catch (const Json::exception& e) {
    throw Error(str_cat("the peer's answer makes no sense: ", e.what()));
  }
}

class Way final : public Contender {
 public:
  Way(std::string name, std::shared_ptr<PeerProcess> process, Item item,
      std::vector<Delivery> deliveries)
      : name_(std::move(name)),
        process_(std::move(process)),
        item_(std::move(item)),
        deliveries_(std::move(deliveries)) {}
  std::string name() const override { return name_; }
  std::vector<Delivery> deliveries() const override { return deliveries_; }

  std::vector<double> time(Temperature temperature, int count) override {
    return answered([&] {
      return times_in(process_->ask({{"do", "time"},
                                     {"way", name_},
                                     {"temperature", to_string(temperature)},
                                     {"count", count}}),
                      count);
    });
  }

  Judged judge() override {
    const auto c = judged_case(item_);
    if (!c) return {.r = -1, .where = "", .reason = "it draws its own numbers", .inputs = ""};
    try {
      return answered([&] {
        const Json answer = process_->ask({{"do", "judge"},
                                           {"way", name_},
                                           {"item", Json::parse(to_json(c->item))},
                                           {"inputs", files(c->inputs, "input")},
                                           {"grad_outputs", files(c->grad_outputs, "grad")},
                                           {"folder", process_->folder().string()}});
        std::vector<HostTensor> results;
        for (const Json& r : answer.at("results")) results.push_back(read(r));
        return judge_results(*c, results);
      });
    } catch (const Error& e) {
      return {.r = -1, .where = "", .reason = e.what(), .inputs = ""};
    }
  }

 private:
  Json files(const std::vector<HostTensor>& tensors, const char* what) const {
    Json out = Json::array();
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (!tensors[i].defined) {
        out.push_back(nullptr);
        continue;
      }
      const auto path = process_->folder() / str_cat(what, i);
      const std::vector<std::byte> bytes = reference::encode(tensors[i]);
      std::ofstream file(path, std::ios::binary);
      file.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
      check<FileError>(file.good(), "bench: ", path.string(), " cannot be written");
      out.push_back(path.string());
    }
    return out;
  }

  static HostTensor read(const Json& result) {
    if (result.is_null()) return {.shape = {}, .values = {}, .defined = false};
    const auto path = result.at("file").get<std::string>();
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    const auto dtype = parse_dtype(result.at("dtype").get<std::string>());
    check<Error>(dtype.has_value(), "the peer's dtype ", result.at("dtype").dump());
    return reference::decode(*dtype, result.at("shape").get<Shape>(),
                             std::as_bytes(std::span(bytes)));
  }

  std::string name_;
  std::shared_ptr<PeerProcess> process_;
  Item item_;
  std::vector<Delivery> deliveries_;
};

std::vector<Delivery> deliveries_in(const Json& answer, const std::string& way) {
  std::vector<Delivery> out;
  const Json all = answer.value("deliveries", Json::object());
  if (all.contains(way))
    for (const Json& one : all.at(way))
      out.push_back({one.at("written").get<double>(), one.at("view").get<bool>()});
  return out;
}

// What the peer could not do, as a row that says why.
class LeftOut final : public Contender {
 public:
  LeftOut(std::string name, std::string reason)
      : name_(std::move(name)), reason_(std::move(reason)) {}
  std::string name() const override { return name_; }
  std::vector<double> time(Temperature, int) override { throw Error(reason_); }

 private:
  std::string name_, reason_;
};

class HostWay final : public Contender {
 public:
  HostWay(std::string name, std::shared_ptr<PeerProcess> process, Direction direction, int calls)
      : name_(std::move(name)),
        process_(std::move(process)),
        direction_(direction),
        calls_(calls) {}
  std::string name() const override { return name_; }
  std::vector<double> time(Temperature, int count) override {
    return answered([&] {
      return times_in(process_->ask({{"do", "host"},
                                     {"direction", to_string(direction_)},
                                     {"calls", calls_},
                                     {"count", count}}),
                      count);
    });
  }

 private:
  std::string name_;
  std::shared_ptr<PeerProcess> process_;
  Direction direction_;
  int calls_;
};

}  // namespace

ExternalPeers::ExternalPeers(const ProcessOptions& options)
    : process_(std::make_shared<PeerProcess>(options)), ways_(options.ways) {
  answered([&] {
    const Json hello =
        process_->ask({{"do", "hello"}, {"compile_seconds", options.compile_seconds}});
    name_ = hello.at("name").get<std::string>();
    version_ = hello.at("version").get<std::string>();
    return 0;
  });
}

ExternalPeers::~ExternalPeers() = default;

std::string ExternalPeers::describe() const { return name_ + " " + version_; }

std::vector<std::unique_ptr<Contender>> ExternalPeers::peers(const Workload& workload, Timer&) {
  std::vector<std::unique_ptr<Contender>> out;
  const Item& item = workload.item();
  try {
    answered([&] {
      const Json answer = process_->ask({{"do", "prepare"},
                                         {"item", Json::parse(to_json(item))},
                                         {"ways", ways_},
                                         {"bytes", workload.traffic().bytes()},
                                         {"flops", workload.traffic().flops}});
      for (const Json& way : answer.at("ways")) {
        const auto name = way.get<std::string>();
        out.push_back(std::make_unique<Way>(name, process_, item, deliveries_in(answer, name)));
      }
      for (const auto& [way, reason] : answer.at("left_out").items())
        out.push_back(std::make_unique<LeftOut>(way, reason.get<std::string>()));
      return 0;
    });
  } catch (const Error& e) {
    out.clear();
    out.push_back(std::make_unique<LeftOut>(name_, e.what()));
  }
  return out;
}

std::vector<std::unique_ptr<Contender>> ExternalPeers::host_peers(Direction direction, int calls) {
  std::vector<std::unique_ptr<Contender>> out;
  const std::string way = name_ + "_eager";
  std::istringstream globs(ways_);
  for (std::string glob; std::getline(globs, glob, ',');)
    if (out.empty() && glob_match(glob, way))
      out.push_back(std::make_unique<HostWay>(way, process_, direction, calls));
  return out;
}

}  // namespace flame::bench
