// The reader of tensor files against everything that a hostile or broken file can be.
#include "lib/io/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "lib/core/error.h"
#include "lib/io/json.h"

namespace flame::io {
namespace {

using Bytes = std::vector<std::byte>;

Bytes file_of(const std::string& header, std::size_t data_bytes = 0) {
  const std::uint64_t length = header.size();
  Bytes out(8 + header.size() + data_bytes);
  std::memcpy(out.data(), &length, 8);
  std::memcpy(out.data() + 8, header.data(), header.size());
  return out;
}

// The message of the FileError that reading gives; "" when it reads.
std::string error_of(const Bytes& bytes) {
  try {
    SafetensorsFile::parse(bytes, "some.safetensors");
  } catch (const FileError& e) {
    return e.what();
  }
  return "";
}
std::string error_of(const std::string& header, std::size_t data_bytes = 0) {
  return error_of(file_of(header, data_bytes));
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

Bytes good_file() {
  static const Bytes floats(24, std::byte{1});
  static const Bytes halves(4, std::byte{2});
  const std::vector<TensorEntry> tensors{{"w", DType::kFloat32, {2, 3}, floats},
                                         {"empty", DType::kInt64, {0, 5}, {}},
                                         {"scalar pair", DType::kFloat16, {2}, halves}};
  return to_safetensors(tensors, {{"schema", "flame-case/1"}, {"q", "a \"b\"\n\\"}});
}

TEST(Safetensors, ReadsBackWhatItWrote) {
  const auto file = SafetensorsFile::parse(good_file(), "good");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensor("w").shape, (Shape{2, 3}));
  EXPECT_EQ(file.tensor("w").dtype, DType::kFloat32);
  EXPECT_EQ(file.tensor("w").bytes.size(), 24u);
  EXPECT_EQ(file.tensor("w").bytes[23], std::byte{1});
  EXPECT_EQ(file.tensor("scalar pair").bytes[0], std::byte{2});
  EXPECT_EQ(file.tensor("empty").bytes.size(), 0u);
  ASSERT_NE(file.find_metadata("q"), nullptr);
  EXPECT_EQ(*file.find_metadata("q"), "a \"b\"\n\\");
  EXPECT_EQ(file.find("absent"), nullptr);
  EXPECT_THROW(file.tensor("absent"), FileError);
}

TEST(Safetensors, KeepsItsBytesWhenMoved) {
  auto first = SafetensorsFile::parse(good_file(), "good");
  const auto second = std::move(first);
  EXPECT_EQ(second.tensor("w").bytes[0], std::byte{1});
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const Bytes whole = good_file();
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_NE(error_of(Bytes(whole.begin(), whole.begin() + std::ptrdiff_t(n))), "") << n;
  EXPECT_EQ(error_of(whole), "");
}

TEST(Safetensors, TrailingBytesAreAnError) {
  Bytes bytes = good_file();
  bytes.push_back(std::byte{0});
  EXPECT_NE(error_of(bytes).find("trailing"), std::string::npos);
}

TEST(Safetensors, TheErrorNamesThePath) {
  EXPECT_TRUE(error_of(Bytes{}).starts_with("some.safetensors: "));
}

TEST(Safetensors, HeaderLengthIsNotBelieved) {
  Bytes bytes(16);
  for (const std::uint64_t length :
       {~std::uint64_t{0}, std::uint64_t{1} << 63, kMaxHeaderBytes + 1, std::uint64_t{9}}) {
    std::memcpy(bytes.data(), &length, 8);
    EXPECT_NE(error_of(bytes), "") << length;
  }
}

TEST(Safetensors, HeaderMustBeAnObjectFromItsFirstByte) {
  for (const char* header : {"", " {}", "[]", "null", "1", "\"x\"", "{", "}", "{}x", "{}{}", "{,}"})
    EXPECT_NE(error_of(header), "") << header;
  EXPECT_EQ(error_of("{}"), "");
  EXPECT_EQ(error_of("{}     "), "");
}

TEST(Safetensors, RangesMustTileTheData) {
  const auto two = [](const char* a, const char* b) {
    return "{" + entry("a", "U8", "[4]", a) + "," + entry("b", "U8", "[4]", b) + "}";
  };
  EXPECT_EQ(error_of(two("[0,4]", "[4,8]"), 8), "");
  EXPECT_EQ(error_of(two("[4,8]", "[0,4]"), 8), "");
  EXPECT_NE(error_of(two("[0,4]", "[2,6]"), 8).find("inside"), std::string::npos);
  EXPECT_NE(error_of(two("[0,4]", "[0,4]"), 8).find("inside"), std::string::npos);
  EXPECT_NE(error_of(two("[0,4]", "[5,9]"), 9).find("gap"), std::string::npos);
  EXPECT_NE(error_of(two("[1,5]", "[5,9]"), 9).find("gap"), std::string::npos);
  EXPECT_NE(error_of(two("[0,4]", "[4,8]"), 7).find("truncated"), std::string::npos);
  EXPECT_NE(error_of(two("[0,4]", "[8,4]"), 8).find("backwards"), std::string::npos);
}

TEST(Safetensors, EmptyTensorsTakeNoPlace) {
  const std::string header = "{" + entry("a", "F32", "[2]", "[0,8]") + "," +
                             entry("b", "F32", "[0]", "[0,0]") + "," +
                             entry("c", "F32", "[3,0]", "[8,8]") + "}";
  EXPECT_EQ(error_of(header, 8), "");
  EXPECT_NE(error_of("{" + entry("a", "F32", "[2]", "[0,8]") + "," +
                         entry("b", "F32", "[0]", "[4,4]") + "}",
                     8),
            "");
}

TEST(Safetensors, ShapesMustMatchTheirBytes) {
  const auto one = [](const char* dtype, const char* shape, const char* offsets) {
    return "{" + entry("a", dtype, shape, offsets) + "}";
  };
  EXPECT_EQ(error_of(one("F64", "[]", "[0,8]"), 8), "");
  EXPECT_NE(error_of(one("F32", "[]", "[0,8]"), 8).find("takes 4"), std::string::npos);
  // Products that wrap around to the right number of bytes.
  EXPECT_NE(error_of(one("U8", "[4294967296,4294967296]", "[0,0]")), "");
  EXPECT_NE(error_of(one("F64", "[2305843009213693952]", "[0,0]")), "");
  EXPECT_NE(error_of(one("U8", "[9223372036854775807,2]", "[0,8]"), 8), "");
  EXPECT_NE(error_of(one("U8", "[-4]", "[0,4]"), 4).find("not a count"), std::string::npos);
  EXPECT_NE(error_of(one("U8", "[-2,-2]", "[0,4]"), 4), "");
  EXPECT_NE(error_of(one("U8", "[4.0]", "[0,4]"), 4), "");
  EXPECT_NE(error_of(one("U8", "[18446744073709551620]", "[0,4]"), 4), "");
  EXPECT_NE(error_of(one("U8", "[\"4\"]", "[0,4]"), 4), "");
  EXPECT_NE(error_of(one("U8", "4", "[0,4]"), 4), "");
  EXPECT_NE(error_of(one("U8", "[1,1,1,1,1,1,1,1,4]", "[0,4]"), 4).find("dims"), std::string::npos);
}

TEST(Safetensors, FieldsAreExactlyThree) {
  EXPECT_NE(error_of("{\"a\":{}}"), "");
  EXPECT_NE(error_of("{\"a\":3}"), "");
  EXPECT_NE(error_of("{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}"), "");
  EXPECT_NE(error_of("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"more\":1}}"),
            "");
  EXPECT_NE(error_of("{" + entry("a", "U8", "[0]", "[0]") + "}"), "");
  EXPECT_NE(error_of("{" + entry("a", "U8", "[0]", "[0,0,0]") + "}"), "");
  EXPECT_NE(error_of("{" + entry("a", "U8", "[0]", "[-1,0]") + "}"), "");
}

TEST(Safetensors, DtypesAreSpelledAsTheFormatDoes) {
  for (const char* dtype : {"float32", "f32", "", "F8_E4M3", "I16", "U64", "BOOL "})
    EXPECT_NE(error_of("{" + entry("a", dtype, "[0]", "[0,0]") + "}").find("dtype"),
              std::string::npos)
        << dtype;
  EXPECT_NE(error_of("{\"a\":{\"dtype\":1,\"shape\":[0],\"data_offsets\":[0,0]}}"), "");
}

TEST(Safetensors, ANameGivenTwiceIsAnError) {
  const std::string a = entry("a", "U8", "[0]", "[0,0]");
  EXPECT_NE(error_of("{" + a + "," + a + "}").find("twice"), std::string::npos);
  // The same name, once spelled with an escape.
  EXPECT_NE(error_of("{" + a + "," + entry("\\u0061", "U8", "[0]", "[0,0]") + "}").find("twice"),
            std::string::npos);
  EXPECT_NE(error_of("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}").find("twice"),
            std::string::npos);
}

TEST(Safetensors, MetadataIsStringsOnly) {
  for (const char* value : {"1", "null", "[]", "{}", "true"})
    EXPECT_NE(error_of(std::string("{\"__metadata__\":{\"k\":") + value + "}}"), "") << value;
  EXPECT_NE(error_of("{\"__metadata__\":[]}"), "");
}

TEST(Safetensors, BoolsAreZeroOrOne) {
  Bytes bytes = file_of("{" + entry("a", "BOOL", "[2]", "[0,2]") + "}", 2);
  bytes.back() = std::byte{1};
  EXPECT_EQ(error_of(bytes), "");
  bytes.back() = std::byte{2};
  EXPECT_NE(error_of(bytes).find("neither"), std::string::npos);
}

TEST(Safetensors, TheWriterRefusesWhatTheReaderWould) {
  const Bytes four(4);
  const auto refuses = [](const std::vector<TensorEntry>& tensors) {
    EXPECT_THROW(to_safetensors(tensors), ValueError);
  };
  refuses({{"a", DType::kFloat32, {2}, four}});
  refuses({{"a", DType::kFloat32, {1}, four}, {"a", DType::kFloat32, {1}, four}});
  refuses({{"__metadata__", DType::kFloat32, {1}, four}});
  refuses({{"\xff", DType::kFloat32, {1}, four}});
}

class OnDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(::testing::TempDir()) /
            (std::string("flame_safetensors_") +
             ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::string error(const std::filesystem::path& path) {
    try {
      SafetensorsFile::open(path);
    } catch (const FileError& e) {
      EXPECT_NE(std::string(e.what()).find(path.string()), std::string::npos);
      return e.what();
    }
    return "";
  }
  std::filesystem::path root_;
};

TEST_F(OnDisk, RoundTripAndEveryTruncation) {
  const Bytes floats(12, std::byte{3});
  const std::vector<TensorEntry> tensors{{"x", DType::kFloat32, {3}, floats}};
  const auto path = root_ / "x.safetensors";
  write_safetensors(path, tensors, {});
  EXPECT_FALSE(std::filesystem::exists(root_ / "x.safetensors.part"));
  EXPECT_EQ(SafetensorsFile::open(path).tensor("x").bytes[11], std::byte{3});
  for (auto n = std::filesystem::file_size(path); n-- > 0;) {
    std::filesystem::resize_file(path, n);
    EXPECT_NE(error(path), "") << n;
  }
}

TEST_F(OnDisk, OddPathsAreErrors) {
  EXPECT_NE(error(root_ / "absent").find("no such file"), std::string::npos);
  EXPECT_NE(error(root_).find("regular"), std::string::npos);
  EXPECT_NE(error("/dev/zero").find("regular"), std::string::npos);
  EXPECT_THROW(write_safetensors(root_ / "no" / "where", {}, {}), FileError);
}

std::string json_error(std::string_view text) {
  try {
    parse_json(text);
  } catch (const FileError& e) {
    return e.what();
  }
  return "";
}

TEST(StrictJson, ReadsEveryKindOfValue) {
  const Json json = parse_json(R"( {"a":[1,-2.5e3,true,false,null,"\u20ac\ud83d\ude00\n"]} )");
  const auto& items = *json.get<JsonObject>()->front().value.get<JsonArray>();
  EXPECT_EQ(*items[0].get<std::int64_t>(), 1);
  EXPECT_EQ(*items[1].get<double>(), -2500.0);
  EXPECT_TRUE(*items[2].get<bool>());
  EXPECT_FALSE(*items[3].get<bool>());
  EXPECT_NE(items[4].get<std::monostate>(), nullptr);
  EXPECT_EQ(*items[5].get<std::string>(), "\xe2\x82\xac\xf0\x9f\x98\x80\n");
  EXPECT_EQ(*parse_json("-9223372036854775808").get<std::int64_t>(), INT64_MIN);
  EXPECT_NE(parse_json("9223372036854775808").get<double>(), nullptr);
  EXPECT_NE(parse_json("1.0").get<double>(), nullptr);
}

TEST(StrictJson, RefusesWhatRfc8259Does) {
  for (const char* text : {"",
                           " ",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{a:1}",
                           "{'a':1}",
                           "{\"a\":1,}",
                           "01",
                           "-",
                           "+1",
                           ".5",
                           "1.",
                           "1e",
                           "1e+",
                           "0x1",
                           "NaN",
                           "Infinity",
                           "nul",
                           "True",
                           "\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12G4\"",
                           "\"\\ud800\"",
                           "\"\\ud800\\u0041\"",
                           "\"\\udc00\"",
                           "\"\t\"",
                           "// x\n1",
                           "1 1",
                           "\v1",
                           "1e999"})
    EXPECT_NE(json_error(text), "") << text;
  EXPECT_NE(json_error(std::string_view("1\0", 2)), "");
}

TEST(StrictJson, RefusesBrokenUtf8) {
  for (const char* bytes :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf0\x80\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff"})
    EXPECT_NE(json_error(std::string("\"") + bytes + "\"").find("UTF-8"), std::string::npos);
  EXPECT_EQ(json_error("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""), "");
}

TEST(StrictJson, StopsAtItsDepth) {
  EXPECT_EQ(json_error(std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']')), "");
  EXPECT_NE(json_error(std::string(100000, '[')).find("deep"), std::string::npos);
}

TEST(StrictJson, QuotesWhatItReads) {
  const std::string odd = "a\"\\\n\x01\xe2\x82\xac";
  EXPECT_EQ(*parse_json(json_quote(odd)).get<std::string>(), odd);
  EXPECT_THROW(json_quote("\xff"), ValueError);
}

}  // namespace
}  // namespace flame::io
