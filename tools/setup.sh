# Sourced by tools/verify and tools/test: what a bare Debian or Ubuntu machine lacks. Does nothing on
# the second run.

packages=(g++ cmake ninja-build ccache git libeigen3-dev libgtest-dev libgmock-dev librapidcheck-dev
  libbenchmark-dev libboost-context-dev libcli11-dev nlohmann-json3-dev libkainjow-mustache-dev
  libxxhash-dev libsqlitecpp-dev libsqlite3-dev libtomlplusplus-dev)

# say WORDS...: one line on stderr; data goes to stdout.
say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 3
}

install_packages() {
  local missing=() name
  for name in "${packages[@]}"; do
    dpkg-query -W -f='${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null ||
    die "these packages are missing and there is no apt-get to install them: ${missing[*]}"
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "installing needs root: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  say "installing: ${missing[*]}"
  "${root[@]}" apt-get update -qq >&2 || die "apt-get update failed"
  DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >&2 || die "apt-get install failed: ${missing[*]}"
}

# The toolkit is found, never installed: CUDA_HOME, CUDA_PATH, nvcc's folder, the usual places.
find_cuda() {
  local nvcc home
  nvcc=$(command -v nvcc || true)
  for home in "${CUDA_HOME:-}" "${CUDA_PATH:-}" \
    "${nvcc:+$(dirname "$(dirname "$(readlink -f "$nvcc")")")}" /usr/local/cuda /usr; do
    if [ -n "$home" ] && [ -f "$home/include/nvrtc.h" ]; then
      export CUDA_HOME=$home
      return
    fi
  done
  die "no CUDA toolkit found (looked for include/nvrtc.h under CUDA_HOME, CUDA_PATH, nvcc's folder," \
    "/usr/local/cuda and /usr). Install NVIDIA's package cuda-toolkit (12.4 or later; no GPU is" \
    "needed), or Debian's nvidia-cuda-toolkit, or set CUDA_HOME."
}

# configure_and_build PRESET [TARGET...]
configure_and_build() {
  local preset=$1
  shift
  say "configuring ($preset)"
  cmake --preset "$preset" >"$root/build-$preset.log" 2>&1 || {
    cat "$root/build-$preset.log" >&2
    die "configuring failed"
  }
  rm -f "$root/build-$preset.log"
  say "building ($preset)"
  cmake --build --preset "$preset" ${1:+--target "$@"} >&2
}
