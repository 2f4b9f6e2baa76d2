// The CUDA side of the library on a real GPU, one line an item: the first thing to run on a machine
// whose driver or toolkit is new. Needs no tensor and no op.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "conformance/witness/cupti_witness.h"
#include "kernels/params.h"
#include "lib/core/error.h"
#include "lib/driver/cuda_library.h"
#include "lib/driver/driver.h"
#include "lib/jit/compiler.h"

namespace {

using namespace flame;
using namespace flame::driver;

// Device memory for one scope.
class Memory {
 public:
  Memory(Driver& driver, std::size_t bytes)
      : driver_(driver), p_(driver.allocate(bytes, "gpu_smoke")) {}
  ~Memory() { driver_.deallocate(p_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* get() const { return p_; }

 private:
  Driver& driver_;
  void* p_;
};

template <class T>
std::vector<T> read_back(Driver& d, const void* p, std::size_t count, StreamHandle s = 0) {
  std::vector<T> out(count);
  d.copy_to_host(out.data(), p, count * sizeof(T), s);
  return out;
}

// arange<float>(to, start, step, numel): to[i] = start + i * step.
class Arange {
 public:
  explicit Arange(Driver& d) : driver_(d) {
    image_ = d.compile(kId);
    handle_ = d.load(image_, kId);
  }
  void operator()(void* to, double start, double step, long long n, StreamHandle s = 0) {
    const flame_params::Constant a{start, 0, 0}, b{step, 0, 0};
    const Arg args[] = {{&to, sizeof to}, {&a, sizeof a}, {&b, sizeof b}, {&n, sizeof n}};
    driver_.launch(handle_, {{unsigned((n + 255) / 256)}, {256}, 0, s}, args);
  }
  KernelHandle handle() const { return handle_; }
  const Image& image() const { return image_; }
  inline static const KernelId kId{"fill.cu", "arange<float>"};

 private:
  Driver& driver_;
  Image image_;
  KernelHandle handle_ = 0;
};

void require(bool ok, const std::string& what) { check<Error>(ok, what); }

// The error's text; throws when `f` throws no E.
template <class E>
std::string expect_error(const std::function<void()>& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  throw Error("no error of the expected type was thrown");
}

std::string check_kernel(Driver& d) {
  Arange arange(d);
  Memory m(d, 1000 * sizeof(float));
  arange(m.get(), 3, 0.5, 1000);
  const auto got = read_back<float>(d, m.get(), 1000);
  for (int i = 0; i < 1000; ++i) require(got[i] == 3 + 0.5f * float(i), "arange is wrong");
  return str_cat("1000 elements of ", Arange::kId.expression, ", entry ", arange.image().entry);
}

std::string check_arguments(Driver& d) {
  Arange arange(d);
  void* p = nullptr;
  const int narrow = 0;
  const Arg few[] = {{&p, sizeof p}};
  const Arg wrong[] = {{&p, 8}, {&narrow, 4}, {&narrow, 4}, {&narrow, 4}};
  const Launch how{{1}, {32}, 0, 0};
  const std::string a = expect_error<DriverError>([&] { d.launch(arange.handle(), how, few); });
  const std::string b = expect_error<DriverError>([&] { d.launch(arange.handle(), how, wrong); });
  return a + " | " + b;
}

std::string check_launch_error(Driver& d) {
  Arange arange(d);
  return expect_error<DriverError>([&] {
    void* p = nullptr;
    long long n = 0;
    const flame_params::Constant c{};
    const Arg args[] = {{&p, 8}, {&c, sizeof c}, {&c, sizeof c}, {&n, 8}};
    d.launch(arange.handle(), {{1}, {4096}, 0, 0}, args);
  });
}

std::string check_images(Driver& d) {
  Arange arange(d);
  Image image = arange.image();
  image.entry = "nothing";
  std::string out = expect_error<JitError>([&] { d.load(image, Arange::kId); });
  const std::string text = "__global__ void arange() {}";
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  image.bytes.assign(bytes, bytes + text.size());
  return out + " | " + expect_error<JitError>([&] { d.load(image, Arange::kId); });
}

std::string check_memory(Driver& d) {
  const std::size_t n = 1 << 20;
  std::vector<unsigned char> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<unsigned char>(i * 7 + i / 256);
  Memory a(d, n), b(d, n);
  require(reinterpret_cast<std::uintptr_t>(a.get()) % 256 == 0, "memory is not 256-byte aligned");
  d.copy_to_device(a.get(), bytes.data(), n, 0);
  d.fill(b.get(), 0xab, n, 0);
  d.copy_on_device(b.get(), a.get(), n / 2, 0);
  const auto got = read_back<unsigned char>(d, b.get(), n);
  for (std::size_t i = 0; i < n; ++i)
    require(got[i] == (i < n / 2 ? bytes[i] : 0xab), "a copied byte is wrong");
  return str_cat("1 MiB to the device, on it, filled, and back; ", d.free_memory() >> 20,
                 " MiB free");
}

std::string check_out_of_memory(Driver& d) {
  const std::string text = expect_error<OutOfMemoryError>(
      [&] { d.allocate(d.info().total_memory * 2, "gpu_smoke, too much"); });
  return text + " | afterwards " + check_memory(d);
}

std::string check_streams(Driver& d) {
  Arange arange(d);
  const long long n = 1 << 24;
  Memory m(d, std::size_t(n) * sizeof(float)), copy(d, std::size_t(n) * sizeof(float));
  const StreamHandle a = d.create_stream(), b = d.create_stream();
  const EventHandle start = d.create_event(), made = d.create_event(), end = d.create_event();
  d.record(start, a);
  for (int i = 0; i < 20; ++i) arange(m.get(), i, 1, n, a);
  d.record(made, a);
  d.wait(b, made);
  d.copy_on_device(copy.get(), m.get(), std::size_t(n) * sizeof(float), b);
  d.record(end, b);
  const double ms = d.elapsed_ms(start, end);
  const auto got = read_back<float>(d, copy.get(), 100, b);
  for (int i = 0; i < 100; ++i) require(got[i] == float(19 + i), "the wait was not kept");
  require(ms > 0, "events did not measure time");
  d.synchronize(a);
  for (EventHandle e : {start, made, end}) d.destroy_event(e);
  d.destroy_stream(a);
  d.destroy_stream(b);
  return str_cat("21 pieces of work on two streams in ", ms, " ms");
}

// Half types as their bits.
float from_bits(std::uint16_t bits, DType t) {
  if (t == DType::kBFloat16) {
    const std::uint32_t wide = std::uint32_t(bits) << 16;
    float out;
    std::memcpy(&out, &wide, 4);
    return out;
  }
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const float magnitude = exponent ? std::ldexp(float(1024 + mantissa), exponent - 25)
                                   : std::ldexp(float(mantissa), -24);
  return bits >> 15 ? -magnitude : magnitude;
}

// A small integer in each type: products and sums are exact, so the result must be equal.
std::vector<unsigned char> encode(const std::vector<int>& values, DType t) {
  std::vector<unsigned char> out(values.size() * size_of(t));
  for (std::size_t i = 0; i < values.size(); ++i) {
    unsigned char* to = out.data() + i * size_of(t);
    const double wide = values[i];
    const float narrow = float(values[i]);
    std::uint32_t bits;
    std::memcpy(&bits, &narrow, 4);
    std::uint16_t half = std::uint16_t(bits >> 16);
    if (t == DType::kFloat16)
      half = values[i] == 0 ? 0
                            : std::uint16_t((bits >> 31) << 15 | ((bits >> 23 & 255) - 112) << 10 |
                                            (bits >> 13 & 1023));
    const void* from = t == DType::kFloat64   ? static_cast<const void*>(&wide)
                       : t == DType::kFloat32 ? static_cast<const void*>(&narrow)
                                              : static_cast<const void*>(&half);
    std::memcpy(to, from, size_of(t));
  }
  return out;
}

double decode(const unsigned char* p, DType t) {
  if (t == DType::kFloat64) return *reinterpret_cast<const double*>(p);
  if (t == DType::kFloat32) return double(*reinterpret_cast<const float*>(p));
  std::uint16_t bits;
  std::memcpy(&bits, p, 2);
  return double(from_bits(bits, t));
}

// m x n from a batch of products of small integers, both operands perhaps transposed, against the
// host's. Gives false where cuBLASLt cannot do it.
bool product_is_right(Driver& d, DType in, DType out, bool ta, bool tb, int m, int n, int k,
                      int batch) {
  std::mt19937 random(unsigned(m * 31 + n * 7 + k));
  std::vector<int> a(std::size_t(batch) * m * k), b(std::size_t(batch) * k * n);
  for (int& v : a) v = int(random() % 5) - 2;
  for (int& v : b) v = int(random() % 5) - 2;
  const auto a_bytes = encode(a, in), b_bytes = encode(b, in);
  const std::size_t c_bytes = std::size_t(batch) * m * n * size_of(out);
  Memory da(d, a_bytes.size()), db(d, b_bytes.size()), dc(d, c_bytes);
  d.copy_to_device(da.get(), a_bytes.data(), a_bytes.size(), 0);
  d.copy_to_device(db.get(), b_bytes.data(), b_bytes.size(), 0);
  d.fill(dc.get(), 0xff, c_bytes, 0);
  Gemm g{in, out, m, n, k, batch, ta, tb, da.get(), db.get(), dc.get()};
  g.lda = ta ? m : k;
  g.ldb = tb ? k : n;
  g.ldc = n;
  g.stride_a = m * k;
  g.stride_b = k * n;
  g.stride_c = m * n;
  if (!d.blas()->gemm(g, 0)) return false;
  const auto got = read_back<unsigned char>(d, dc.get(), c_bytes);
  for (int z = 0; z < batch; ++z)
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) {
        int want = 0;
        for (int q = 0; q < k; ++q)
          want += a[std::size_t(z) * m * k + (ta ? q * m + i : i * k + q)] *
                  b[std::size_t(z) * k * n + (tb ? j * k + q : q * n + j)];
        const double value =
            decode(got.data() + ((std::size_t(z) * m + i) * n + j) * size_of(out), out);
        require(value == want, str_cat(name(in), " product at ", z, ", ", i, ", ", j, ": got ",
                                       value, ", want ", want));
      }
  return true;
}

std::string check_products(Driver& d, DType in, DType out) {
  require(d.blas() != nullptr, "cuBLASLt was not found");
  int done = 0, refused = 0;
  const int sizes[][4] = {{64, 48, 32, 1}, {17, 9, 33, 1}, {1, 40, 24, 3},
                          {40, 1, 24, 3},  {5, 7, 1, 2},   {128, 8, 40, 4}};
  for (const auto& s : sizes)
    for (int t = 0; t < 4; ++t)
      ++(product_is_right(d, in, out, t & 1, t & 2, s[0], s[1], s[2], s[3]) ? done : refused);
  require(done > 0, "cuBLASLt did none of the products");
  return str_cat(done, " products equal to the host's, ", refused, " left to FLAME's own kernel");
}

std::string check_witness(Driver& d) {
  const auto witness = conformance::make_cupti_witness(d.info().index);
  Arange arange(d);
  Memory m(d, 4096);
  const StreamHandle s = d.create_stream();
  witness->begin();
  arange(m.get(), 0, 1, 1000, s);
  d.fill(m.get(), 1, 128, s);
  d.copy_on_device(static_cast<char*>(m.get()) + 2048, m.get(), 256, s);
  read_back<float>(d, m.get(), 16, s);
  std::string out;
  int ours = 0, syncs = 0, copies_out = 0;
  for (const conformance::Event& e : witness->end()) {
    out += (out.empty() ? "" : ", ") + std::string(to_string(e.kind)) +
           (e.kernel.empty() ? "" : " " + e.kernel) + (e.bytes ? str_cat(" ", e.bytes) : "");
    ours += e.ours && e.kernel == "arange<float>" && e.grid.x == 4 && e.block.x == 256;
    syncs += e.kind == conformance::EventKind::kSync;
    copies_out += e.kind == conformance::EventKind::kCopyD2H && e.bytes == 64;
  }
  witness->begin();
  const std::size_t idle = witness->end().size();
  d.destroy_stream(s);
  require(ours == 1 && copies_out == 1 && syncs == 1, "the witness saw: " + out);
  require(idle == 0, str_cat("the witness saw ", idle, " events of nothing"));
  return "saw " + out;
}

int run(Driver& d) {
  struct Item {
    const char* name;
    std::function<std::string(Driver&)> check;
  };
  const std::vector<Item> items{
      {"kernel", check_kernel},
      {"arguments", check_arguments},
      {"launch error", check_launch_error},
      {"false images", check_images},
      {"memory", check_memory},
      {"out of memory", check_out_of_memory},
      {"streams", check_streams},
      {"gemm float32",
       [](Driver& x) { return check_products(x, DType::kFloat32, DType::kFloat32); }},
      {"gemm float64",
       [](Driver& x) { return check_products(x, DType::kFloat64, DType::kFloat64); }},
      {"gemm float16",
       [](Driver& x) { return check_products(x, DType::kFloat16, DType::kFloat16); }},
      {"gemm float16 to float32",
       [](Driver& x) { return check_products(x, DType::kFloat16, DType::kFloat32); }},
      {"gemm bfloat16",
       [](Driver& x) { return check_products(x, DType::kBFloat16, DType::kBFloat16); }},
      {"gemm bfloat16 to float32",
       [](Driver& x) { return check_products(x, DType::kBFloat16, DType::kFloat32); }},
      {"witness", check_witness},
  };
  int failed = 0;
  for (const Item& item : items) {
    std::string text;
    bool ok = true;
    try {
      text = item.check(d);
    } catch (const std::exception& e) {
      ok = false;
      text = e.what();
    }
    std::printf("%-4s  %-25s %s\n", ok ? "ok" : "FAIL", item.name, text.c_str());
    std::fflush(stdout);
    failed += !ok;
  }
  return failed;
}

}  // namespace

int main() {
  try {
    const std::shared_ptr<Driver> d = open_cuda(0);
    const Info& i = d->info();
    std::printf(
        "%s, %s, %d multiprocessors, %zu MiB, L2 %zu KiB, shared %zu KiB a block, driver %d, "
        "NVRTC %d, toolkit headers %s\n",
        i.name.c_str(), i.arch.c_str(), i.multiprocessors, i.total_memory >> 20, i.l2_bytes >> 10,
        i.max_shared_bytes >> 10, i.driver_version, i.toolkit_version, toolkit_include().c_str());
    expect_error<ValueError>([] { open_cuda(cuda_device_count()); });
    return run(*d) == 0 ? 0 : 1;
  } catch (const NoDeviceError& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 3;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
