// The choices of algorithms that are kept on disk: processes agree, and nothing in the folder is
// trusted.
#include "lib/blas/choices.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "tests/support/fake_cublaslt.h"
#include "tests/support/jit_fixture.h"

namespace flame::blas {
namespace {

namespace fs = std::filesystem;
using jit::content_key;
using test::Vendor;

const Choices::Proposed kAll = [](const Algorithm&) { return true; };
const std::string kKey = content_key({"a product"});

Choice choice(std::uint32_t id) { return {"a product", "a device", {id, 2, 3}}; }

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class ChoicesTest : public testing::Test {
 protected:
  fs::path file(const std::string& key = kKey) const { return folder_.path() / (key + ".flamec"); }
  Choices choices() const { return Choices(folder_.path()); }

  jit::Folder folder_;
};

TEST_F(ChoicesTest, TheFirstOneCounts) {
  Choices first(folder_.path()), second(folder_.path());
  EXPECT_EQ(first.find(kKey, kAll), std::nullopt);
  EXPECT_EQ(second.find(kKey, kAll), std::nullopt);
  EXPECT_EQ(first.keep(kKey, choice(7), kAll), choice(7).algorithm);
  EXPECT_EQ(second.keep(kKey, choice(8), kAll), choice(7).algorithm);
  EXPECT_EQ(second.find(kKey, kAll), choice(7).algorithm);
  EXPECT_EQ(second.find(content_key({"another"}), kAll), std::nullopt);
  EXPECT_EQ(second.stats().hits, 1u);
  EXPECT_EQ(second.stats().misses, 2u);
  EXPECT_EQ(second.stats().refused + second.stats().failed_writes, 0u);
}

TEST_F(ChoicesTest, DamageIsRefusedAndMended) {
  choices().keep(kKey, choice(7), kAll);
  const std::string intact = content(file());
  const auto refused = [&](const std::string& bytes) {
    write(file(), bytes);
    Choices c = choices();
    EXPECT_EQ(c.find(kKey, kAll), std::nullopt);
    EXPECT_EQ(c.stats().refused, 1u);
    EXPECT_EQ(c.keep(kKey, choice(9), kAll), choice(9).algorithm);
    EXPECT_EQ(c.find(kKey, kAll), choice(9).algorithm);
  };
  testing::internal::CaptureStderr();
  refused("");
  for (std::size_t length = 0; length < intact.size(); length += 7)
    refused(intact.substr(0, length));
  for (std::size_t at = 0; at < intact.size(); at += 5) {
    std::string flipped = intact;
    flipped[at] ^= 4;
    refused(flipped);
  }
  refused(intact + "x");
  refused(std::string(std::size_t(1) << 20, 'x'));
  EXPECT_NE(testing::internal::GetCapturedStderr().find("is damaged"), std::string::npos);
  write(file(), intact);
  EXPECT_EQ(choices().find(kKey, kAll), choice(7).algorithm);
}

TEST_F(ChoicesTest, WhatIsNoFileIsNotRead) {
  fs::create_directory(file());
  EXPECT_EQ(choices().find(kKey, kAll), std::nullopt);
  fs::remove(file());
  ASSERT_EQ(mkfifo(file().c_str(), 0600), 0);  // reading it would wait for ever
  EXPECT_EQ(choices().find(kKey, kAll), std::nullopt);
  fs::remove(file());
  fs::create_symlink("/dev/zero", file());
  EXPECT_EQ(choices().find(kKey, kAll), std::nullopt);
  EXPECT_EQ(choices().keep(kKey, choice(3), kAll), choice(3).algorithm);
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(file())));
}

TEST_F(ChoicesTest, AnEntryOfAnotherProductIsRefused) {
  const std::string other = content_key({"another"});
  choices().keep(other, choice(7), kAll);
  fs::copy_file(file(other), file());
  Choices c = choices();
  EXPECT_EQ(c.find(kKey, kAll), std::nullopt);
  EXPECT_EQ(c.stats().refused, 1u);
}

TEST_F(ChoicesTest, AnAlgorithmThatIsNotProposedIsRefused) {
  choices().keep(kKey, choice(7), kAll);
  const Choices::Proposed others = [](const Algorithm& a) { return a != choice(7).algorithm; };
  Choices c = choices();
  EXPECT_EQ(c.find(kKey, others), std::nullopt);
  EXPECT_EQ(c.stats().refused, 1u);
  EXPECT_EQ(c.keep(kKey, choice(8), others), choice(8).algorithm);
  EXPECT_EQ(choices().find(kKey, kAll), choice(8).algorithm);
}

TEST_F(ChoicesTest, AFolderThatCannotBeWrittenIsSaidOnce) {
  const fs::path in_the_way = folder_.path() / "file";
  write(in_the_way, "");
  Choices c(in_the_way / "cache");  // even root cannot make a folder in a file
  testing::internal::CaptureStderr();
  EXPECT_EQ(c.keep(kKey, choice(7), kAll), choice(7).algorithm);
  EXPECT_EQ(c.keep(kKey, choice(8), kAll), choice(8).algorithm);
  const std::string said = testing::internal::GetCapturedStderr();
  const std::size_t at = said.find("cannot be written");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(said.find("cannot be written", at + 1), std::string::npos) << said;
  EXPECT_EQ(c.stats().failed_writes, 2u);
}

TEST_F(ChoicesTest, AProcessThatHoldsTheLockDoesNotHoldUsForEver) {
  const int held = open((folder_.path() / ".choices.lock").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(flock(held, LOCK_EX), 0);
  Choices c = choices();
  EXPECT_EQ(c.keep(kKey, choice(7), kAll), choice(7).algorithm);
  EXPECT_EQ(c.stats().failed_writes, 1u);
  close(held);
  EXPECT_EQ(c.keep(kKey, choice(8), kAll), choice(8).algorithm);
}

TEST_F(ChoicesTest, EntriesAreListedAndCleared) {
  choices().keep(kKey, choice(7), kAll);
  write(folder_.path() / "mine.txt", "not the cache's");
  write(file("00"), "damaged");
  const std::vector<ChoiceItem> items = choices().list();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_FALSE(items[0].readable);
  EXPECT_TRUE(items[1].readable);
  EXPECT_EQ(items[1].choice.product, "a product");
  EXPECT_EQ(items[1].choice.device, "a device");
  EXPECT_EQ(to_string(items[1].choice.algorithm), "7.2.3.0.0.0.0.0.0");
  EXPECT_EQ(items[1].bytes, fs::file_size(file()));
  EXPECT_EQ(choices().clear(), 2u);
  EXPECT_TRUE(choices().list().empty());
  EXPECT_TRUE(fs::exists(folder_.path() / "mine.txt"));
}

// Every process wants another algorithm for every product, and finds damage in half of the entries.
TEST_F(ChoicesTest, ProcessesAgree) {
  constexpr std::uint32_t kProcesses = 6, kProducts = 40;
  std::vector<std::string> keys;
  for (std::uint32_t i = 0; i < kProducts; ++i) {
    keys.push_back(content_key({"product", std::to_string(i)}));
    if (i % 2 == 0) write(file(keys.back()), "damaged");
  }
  const auto result = [&](std::uint32_t process) {
    return folder_.path() / ("result" + std::to_string(process));
  };
  std::vector<pid_t> children;
  for (std::uint32_t process = 0; process < kProcesses; ++process) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      std::freopen("/dev/null", "w", stderr);
      Choices c = choices();
      std::string taken;
      for (const std::string& key : keys) {
        const auto kept = c.find(key, kAll);
        taken += to_string(kept ? *kept : c.keep(key, choice(process), kAll)) + "\n";
      }
      write(result(process), taken);
      _exit(c.stats().failed_writes == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  std::set<std::string> taken;
  for (std::uint32_t process = 0; process < kProcesses; ++process)
    taken.insert(content(result(process)));
  EXPECT_EQ(taken.size(), 1u);
  EXPECT_FALSE(taken.begin()->empty());
}

// ---- what the products make of it, over a library of the tests' own ----------------------------

class TunedProductsTest : public ChoicesTest {
 protected:
  TunedProductsTest() { Vendor::now() = {.proposals = {11, 12, 13}, .ms = {{12, 0.05}}}; }

  std::unique_ptr<CublasLt> open(const fs::path& folder) {
    return std::make_unique<CublasLt>(
        test::fake_cublaslt(), driver_, [](driver::StreamHandle) { return nullptr; },
        std::make_unique<Choices>(folder));
  }
  std::unique_ptr<CublasLt> open() { return open(folder_.path()); }

  // What the product itself ran on, and in how many runs it was found.
  std::uint32_t algorithm(CublasLt& blas, const driver::Gemm& gemm) {
    Vendor::now().ran.clear();
    EXPECT_TRUE(blas.gemm(gemm, 0));
    runs_ = Vendor::now().ran.size() - 1;
    return Vendor::now().ran.back();
  }

  static driver::Gemm product(std::int64_t size) {
    driver::Gemm g{.type = DType::kBFloat16, .out = DType::kBFloat16};
    g.m = g.n = g.k = g.lda = g.ldb = g.ldc = size;
    g.tune = true;
    return g;
  }
  std::size_t files() const { return choices().list().size(); }

  test::VendorDriver driver_;
  std::size_t runs_ = 0;
};

TEST_F(TunedProductsTest, TheFastestIsTakenByEveryProcess) {
  const auto first = open();
  EXPECT_EQ(algorithm(*first, product(1024)), 12u);
  EXPECT_GT(runs_, 3u);
  EXPECT_EQ(algorithm(*first, product(1024)), 12u);
  EXPECT_EQ(runs_, 0u);
  EXPECT_EQ(files(), 1u);
  Vendor::now().ms = {{13, 0.01}};  // another process measures otherwise
  EXPECT_EQ(algorithm(*open(), product(1024)), 12u);
  EXPECT_EQ(runs_, 0u);
  EXPECT_EQ(choices().list()[0].choice.product,
            "matmul of bfloat16 to bfloat16, m 1024, n 1024, k 1024, batch 1");
}

TEST_F(TunedProductsTest, WhoLosesTheRaceTakesTheWinnersChoice) {
  driver_.while_measuring = [&] {
    const auto mine = Vendor::now();
    Vendor::now().ms = {{13, 0.01}};
    EXPECT_TRUE(open()->gemm(product(1024), 0));
    Vendor::now() = mine;
  };
  EXPECT_EQ(algorithm(*open(), product(1024)), 13u);
  EXPECT_EQ(files(), 1u);
}

TEST_F(TunedProductsTest, ItIsChosenAnewForAnotherProductDeviceOrLibrary) {
  algorithm(*open(), product(1024));
  algorithm(*open(), product(2048));
  EXPECT_EQ(files(), 2u);
  driver_.info_.name = "another";
  algorithm(*open(), product(1024));
  EXPECT_EQ(files(), 3u);
  driver_.info_.multiprocessors = 66;
  algorithm(*open(), product(1024));
  EXPECT_EQ(files(), 4u);
  Vendor::now().version = 130200;
  algorithm(*open(), product(1024));
  EXPECT_EQ(files(), 5u);
  driver_.info_.driver_version = 13100;  // rounds no differently
  algorithm(*open(), product(1024));
  EXPECT_EQ(runs_, 0u);
  EXPECT_EQ(files(), 5u);
}

TEST_F(TunedProductsTest, APoisonedEntryIsRefused) {
  algorithm(*open(), product(1024));
  const fs::path entry = choices().list()[0].path;
  Vendor::now().proposals = {11, 13};  // 12 is proposed no longer
  const auto other = open();
  EXPECT_EQ(algorithm(*other, product(1024)), 11u);
  EXPECT_GT(runs_, 0u);
  EXPECT_EQ(other->choices().stats().refused, 1u);
  EXPECT_EQ(algorithm(*open(), product(1024)), 11u);
  EXPECT_EQ(runs_, 0u);
  write(entry, content(entry).substr(0, 40));
  EXPECT_EQ(algorithm(*open(), product(1024)), 11u);
  EXPECT_GT(runs_, 0u);
}

TEST_F(TunedProductsTest, OtherTilesAndClustersAreTriedAndKept) {
  // The proposals have cluster 2; with tile 2 the second is faster, most of all in cluster 3; in
  // cluster 4 it would want too large a workspace.
  Vendor::now().cluster = 2;
  Vendor::now().ms = {{2012, 0.09}, {2212, 0.05}, {3212, 0.04}, {4212, 0.001}, {3013, 0.08}};
  driver::Gemm g = product(1024);
  g.type = g.out = DType::kFloat32;
  EXPECT_EQ(algorithm(*open(), g), 3212u);
  EXPECT_EQ(choices().list()[0].choice.algorithm, (Algorithm{12, 2, 0, 0, 0, 0, 0, 0, 3}));
  EXPECT_EQ(algorithm(*open(), g), 3212u);  // by what was kept
  EXPECT_EQ(runs_, 0u);
  EXPECT_EQ(algorithm(*open(), product(1024)), 3013u);  // half types: clusters alone
  g.tune = false;
  EXPECT_EQ(algorithm(*open(), g), 2011u);
}

TEST_F(TunedProductsTest, AVariantThatIsNotAcceptedIsRefused) {
  Vendor::now().cluster = 2;
  Vendor::now().ms = {{2212, 0.05}};
  driver::Gemm g = product(1024);
  g.type = g.out = DType::kFloat32;
  EXPECT_EQ(algorithm(*open(), g), 2212u);
  const ChoiceItem item = choices().list()[0];
  for (const Algorithm& wrong : {Algorithm{12, 9, 0, 0, 0, 0, 0, 0, 2},  // no such tile
                                 Algorithm{12, 2, 0, 0, 0, 0, 0, 0, 4},  // too large a workspace
                                 Algorithm{12, 2, 0, 0, 0, 0, 0, 0, 65538},  // 2, but for 16 bits
                                 Algorithm{12, 2, 4, 1, 0, 0, 0, 0, 2}}) {   // splits k, unproposed
    fs::remove(item.path);
    Choice choice = item.choice;
    choice.algorithm = wrong;
    choices().keep(item.path.stem().string(), choice, kAll);
    const auto blas = open();
    EXPECT_EQ(algorithm(*blas, g), 2212u);
    EXPECT_EQ(blas->choices().stats().refused, 1u) << to_string(wrong);
  }
}

TEST_F(TunedProductsTest, WithoutTuningTheFirstProposalIsTakenAndNothingKept) {
  driver::Gemm g = product(1024);
  g.tune = false;
  EXPECT_EQ(algorithm(*open(), g), 11u);
  EXPECT_EQ(runs_, 0u);
  g = product(1024), g.beta = 1, g.out = DType::kFloat32;
  EXPECT_EQ(algorithm(*open(), g), 11u);
  EXPECT_EQ(algorithm(*open(), product(8)), 11u);
  EXPECT_EQ(files(), 0u);
}

TEST_F(TunedProductsTest, AFolderThatCannotBeWrittenIsDoneWithout) {
  write(folder_.path() / "file", "");
  const auto blas = open(folder_.path() / "file" / "cache");
  EXPECT_EQ(algorithm(*blas, product(1024)), 12u);
  EXPECT_EQ(algorithm(*blas, product(1024)), 12u);
  EXPECT_EQ(runs_, 0u);
  EXPECT_EQ(blas->choices().stats().failed_writes, 1u);
}

TEST_F(TunedProductsTest, WhatDoesNotRunIsNotChosen) {
  Vendor::now() = {.proposals = {11, 11, 12}, .ms = {{11, -1}}};
  EXPECT_EQ(algorithm(*open(), product(1024)), 12u);
  Vendor::now() = {.proposals = {11, 12}, .ms = {{11, -1}, {12, -1}}};
  EXPECT_THROW(open()->gemm(product(2048), 0), DriverError);
  EXPECT_EQ(files(), 1u);
}

}  // namespace
}  // namespace flame::blas
