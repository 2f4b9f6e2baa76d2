// Argument structs of kernels. The one header that kernels/ and lib/ops both include, so that the
// two sides of a launch cannot disagree. Plain data only; no includes.
#pragma once

namespace flame_params {

inline constexpr int kMaxDims = 8;

// Where the elements of one operand of a `rank`-dim iteration lie: strides in elements, 0 where
// broadcast. `scalar` stands in for memory when `data` is null.
struct Strided {
  const void* data;
  double scalar;
  long long stride[kMaxDims];
};

// The sizes of an iteration space, outermost first.
// For the kernels that find coordinates by dev::quotient: `inverse` is 1 / size, and where indices
// have at most 31 bits index / size is index * factor >> shift (factor 0: they may have more).
struct Extent {
  long long size[kMaxDims];
  double inverse[kMaxDims];
  unsigned factor[kMaxDims];
  int shift[kMaxDims];
  long long numel;
  int rank;
  // Of elementwise work. flat: 1 where it is one dim and every operand lies along it. rows: 1 where
  // it is three dims, and the offset of every vector in every operand has at most 31 bits.
  int flat, rows;
};

// Plain numbers that a functor takes (add's alpha).
struct Numbers {
  double v[2];
};

// Tensors that are laid side by side into one, as cat lays them: the whole's rows of `pitch` units
// hold a row of each part, `start` units in. A part (null data: zeros) has `units` units in rows of
// `row`; unit u lies in row u * factor >> shift (as in Extent). Its blocks are those from
// first_block on. A unit is what one access moves.
inline constexpr int kMaxParts = 64;
struct Part {
  void* data;
  long long start;
  unsigned units, row, factor;
  int shift;
  unsigned first_block;
};
struct Parts {
  Part part[kMaxParts];
  void* whole;
  long long pitch;
  int count;
};

// The value of a fill: `integer` where is_integer, so that 64-bit integers stay exact.
struct Constant {
  double real;
  long long integer;
  int is_integer;
};

// One operand of a reduction: strides along the kept and along the reduced dims, in elements.
// `data` null: `scalar` stands for every element.
struct ReduceOperand {
  const void* data;
  double scalar;
  long long kept[kMaxDims];
  long long reduced[kMaxDims];
};

// A reduction of up to three operands. In a vectorised launch the innermost size of `reduced`
// (rows) or `kept` (columns) counts vectors; both numels count elements.
struct Reduction {
  Extent kept, reduced;
  ReduceOperand in[3];
  void* each;       // an Op's result for each term: it lies as in[0] does
  double divisor;   // of the total (mean)
  Numbers numbers;  // of the functor whose terms are summed
  int splits;       // more than 1: partial results, [split][output]
  int columns;      // 1: adjacent threads take adjacent outputs; 0: adjacent reduced elements
};

// Where random numbers start: see the head of kernels/random.cu.
struct Philox {
  unsigned long long seed, offset;
};

// A range that 64-bit numbers are taken modulo: see kernels/remainder.cuh.
struct Range {
  unsigned long long size, reciprocal;  // above 0; floor((2^64 - 1) / size)
  double inverse;                       // 1 / size, in units of 2^-51
  unsigned fold;                        // 2^32 mod size
};

// C = alpha * A * B + beta * C for `batch` matrices: A (m, k), B (k, n), C (m, n) with column
// stride
// 1. Strides in elements; a batch stride of 0 repeats a matrix.
struct Gemm {
  long long m, n, k;
  long long a_row, a_col, b_row, b_col, c_row;
  long long a_batch, b_batch, c_batch;
  double alpha, beta;
};

// A sum over some dims of a row-major tensor, with the strides its kept and summed dims have in it.
struct BatchSum {
  Extent kept, summed;
  long long kept_stride[kMaxDims];
  long long summed_stride[kMaxDims];
};

// The geometry of a convolution on (N, C, H, W), and where column element (image, group, row,
// pixel) lies: image * image_stride + (group * depth + row) * row_stride + pixel, row = (channel *
// kernel_h + kh) * kernel_w + kw of the group's channels, pixel = oh * out_w + ow. Of an input
// element's taps, those `period` apart meet outputs that are `step` apart.
struct Im2col {
  long long images, channels, group_channels, depth;
  long long image_stride, row_stride;
  int height, width, out_h, out_w;
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int period_h, period_w, step_h, step_w;
};

// Weights (groups, outputs, inputs, taps) and how much of them a block turns.
struct TurnWeight {
  int outputs, inputs, taps, tile_outputs, tile_inputs;
  long long depth;
  bool vectors;  // rows of inputs and taps, and a tile's part of them, start on 16 bytes
};

// Division of numbers below 2^16 by one that the host knows: see kernels/pool_plane.cuh.
struct SmallDivisor {
  unsigned divisor, inverse;
};

// A convolution of each channel alone, into `multiplier` output channels each, planes in shared
// memory: `per_block` input planes to a block (dw: images to a chunk).
struct Depthwise {
  long long planes, images, channels;
  int multiplier, per_block;
  int height, width, out_h, out_w;
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  SmallDivisor by_area, by_width, by_pixels, by_out_w, by_multiplier, by_stride_h, by_stride_w;
  bool vectors;  // planes start on 16 bytes in every tensor
};

// Images cut into lines for warps: see kernels/row_unit.cuh. `strips` lines to a plane, `pieces` to
// a line. A warp takes `together` whole lines or, where that is 0, one of `segments` parts of a
// line: kSegment pieces, and at both ends a lane that reads for its neighbour. Division as in
// Extent.
inline constexpr int kSegment = 30;
struct RowUnits {
  unsigned lines, pieces, strips, together, segments;
  unsigned pieces_factor, strips_factor, segments_factor;
  int pieces_shift, strips_shift, segments_shift;
};

// A depthwise convolution by rows: see kernels/conv_depthwise_rows.cu. Backward: blocks of `planes`
// channels, `groups` of them to all channels, or `parts` blocks to a channel; each for `chunk`
// images, `beside` of them at a time.
struct RowConv {
  RowUnits units;
  unsigned channels, channels_factor;
  int channels_shift;
  int images, height, width, out_h;
  int planes, groups, parts, chunk, beside;
};
// Rows that a thread makes, for elements of `size` bytes: 7 and 4 divide the heights of most
// networks; 7 where the work is more than the reading.
constexpr int depthwise_rows(int window, int stride, int size) {
  return window == 3 && stride == 1 && size == 2 ? 7 : 4;
}
constexpr int depthwise_rows_backward(int window) { return window == 3 ? 7 : 4; }

// Pooling of `planes` images of (height, width) into (out_h, out_w). Index is int where all
// coordinates that a window reaches fit.
template <class Index>
struct Pool {
  long long planes;
  Index height, width, out_h, out_w;
  Index kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};

// Pooling where whole planes lie in shared memory: `planes` of them, `per_block` to a block. The
// phases are how many windows overlap along each dim: windows that many apart share no element.
struct PlanePool {
  long long planes;
  int per_block;
  int height, width, out_h, out_w;
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int phases_h, phases_w;
  int phase_rows, phase_cols;  // windows of one phase, along each dim
  SmallDivisor by_pixels, by_out_w, by_phase_rows, by_phase_cols, by_kernel_w;
  bool vectors;  // planes start on 16 bytes in every tensor
};

// Pooling with square windows of 2 or 3 and stride 2, where threads take 4 or 8 neighbouring
// columns of some rows: see kernels/pool_rows.cu.
struct RowPool {
  RowUnits units;
  int height, width, out_h;
  bool vectors;  // rows start on what one access moves, in every tensor
  bool whole;    // and lines follow one another in memory, 16 bytes or more at a time
};
// Rows of outputs of a thread, for elements of `size` bytes.
constexpr int pool_rows(int size) { return size == 8 ? 1 : 2; }
// Pieces of a thread forward, one after another: only where places make the work long.
constexpr int pool_turns(int size, bool places) { return size == 2 && places ? 4 : 1; }

// gather along `dim`: the index's sizes, and the strides of input and index over them.
struct Gather {
  Extent index;
  long long input_stride[kMaxDims];
  long long index_stride[kMaxDims];
  long long dim_size;  // the input's size along dim
  int dim;
};

// gather along the innermost dim, neighbouring elements there: the strides of the other dims.
struct GatherLine {
  Extent lines;
  long long input_stride[kMaxDims], index_stride[kMaxDims];
  long long dim_size, entries;
  bool line_vectors, vectors;  // the input's lines; index and output: read 16 bytes at a time
};

// gather along the middle one of three dims: strides of (outer, dim, inner).
struct GatherStrip {
  long long entries, inner, dim_size;
  long long input_outer, input_dim, input_inner;
  long long index_outer, index_dim, index_inner;
};

// The gradient of gather. A line is one position in all dims but `dim`; `lines` holds the input's
// sizes of these dims, index_size and index_stride what the index has there (a line outside it gets
// zeros), line_stride the input's.
struct GatherLines {
  Extent lines;
  long long line_stride[kMaxDims], index_size[kMaxDims], index_stride[kMaxDims];
  long long grad_stride[kMaxDims];
  long long bins, bin_stride;                          // the input along dim
  long long entries, entry_stride, entry_grad_stride;  // the index and the gradient along dim
  long long bins_per_block;
};

// lib/tensor/runtime.h's FaultWord.
struct FaultWord {
  unsigned long long code;
  long long value, limit, position;
};

}  // namespace flame_params
