/* The layers of integer networks in plain C99: no interpreter, no allocation, nothing that is kept between two calls.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * Generated code calls these functions with constant descriptions of its layers. They give what TensorFlow Lite Micro's
 * reference kernels give, to the bit: the contracts int8.v1 and int16x8.v1 (docs/runtime.md). Maps are in the order
 * height, width, channels. Elements have 1 byte (int8_t) or 2 (int16_t), which lie at multiples of their size.
 */
#ifndef KMTL_NN_H_
#define KMTL_NN_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From sums of products to outputs. */
typedef struct {
  const int32_t *bias;        /* [channels] */
  const int32_t *multipliers; /* [channels], or one */
  const int8_t *shifts;       /* [channels], or one */
  uint8_t each;               /* 1: as many multipliers and shifts as channels; 0: one of each */
  uint8_t scale;              /* KMTL_NN_SCALE_32 or KMTL_NN_SCALE_16 (kmtl_nn_arithmetic.h) */
  uint8_t wide;               /* 1: sums that may need more than 32 bits, or overflow as they are scaled */
  uint8_t bytes;              /* of an element of input and output */
  int32_t zero;               /* the integer that stands for 0 in the output */
  int32_t lowest;             /* what the output is limited to */
  int32_t highest;
} kmtl_nn_output_t;

/* Rows of a map that lie one after the other. */
typedef struct {
  const void *data;
  uint32_t rows;
} kmtl_nn_rows_t;

/* A convolution, with the maximum over windows of its results where pool_height or pool_width is more than 1. */
typedef struct kmtl_nn_conv_s {
  kmtl_nn_output_t output;
  void (*row)(const struct kmtl_nn_conv_s *self, int16_t *held, void *out); /* computes a row of results */
  const int8_t *weights; /* packed (kmtl_nn_dot.h), in groups of 2 channels; of a depthwise one [taps][channels] */
  uint16_t in_height;
  uint16_t in_width;
  uint16_t in_channels;
  uint16_t out_height; /* of the result, behind the maximum */
  uint16_t out_width;
  uint16_t out_channels;
  uint16_t kernel_height;
  uint16_t kernel_width;
  uint16_t stride_height;
  uint16_t stride_width;
  uint16_t dilation_height;
  uint16_t dilation_width;
  uint16_t pad_top;
  uint16_t pad_left;
  uint16_t pool_height;
  uint16_t pool_width;
  uint16_t padded_width; /* of a row in the scratch memory */
  uint16_t held_rows;    /* as many as one row of results needs */
  uint16_t segments;     /* stretches of memory that a kernel reads: its rows, or one where they are gathered */
  uint16_t segment;      /* packed weights of a channel in one */
  uint8_t gathered;      /* 1: what lies below a kernel is copied together first */
  int16_t in_zero;       /* the integer that stands for 0 in the input */
  uint32_t held;         /* elements of scratch memory for the rows, a multiple of 4. Behind them lie the sums of two
                          * places, and two segments for what is gathered */
} kmtl_nn_conv_t;

/* The input comes in parts, of in_height rows together. `out` may begin where the input does, if no row of results
 * reaches input that is still to be read. scratch: aligned to 4 bytes. */
void kmtl_nn_conv(const kmtl_nn_conv_t *self, const kmtl_nn_rows_t *parts, void *out, int16_t *scratch);

/* For `row`: of any layer; of any whose sums are wide. Generated code has others (kmtl_nn_conv.h). */
void kmtl_nn_conv_any_row(const kmtl_nn_conv_t *self, int16_t *held, void *out);
void kmtl_nn_conv_wide_row(const kmtl_nn_conv_t *self, int16_t *held, void *out);

/* The same with a kernel for each channel, and out_channels / in_channels results of each. */
void kmtl_nn_depthwise(const kmtl_nn_conv_t *self, const kmtl_nn_rows_t *parts, void *out, int16_t *scratch);

/* A transposed convolution: pads are what is cut off at the top and the left; no pool, no dilation. Weights are
 * [channels][taps][in_channels] as they come. Sums of one place are kept: scratch has out_channels of 8 bytes. */
void kmtl_nn_conv_transposed(const kmtl_nn_conv_t *self, const void *in, void *out, int64_t *scratch);

/* A dense layer over rows. */
typedef struct {
  kmtl_nn_output_t output;
  const int8_t *weights; /* packed in groups of 4 channels, then of 2, then of 1 */
  uint16_t rows;
  uint16_t inputs;
  uint16_t padded; /* inputs, rounded up to a multiple of 4 */
  uint16_t outputs;
  int16_t in_zero;
} kmtl_nn_dense_t;

/* scratch: [padded], aligned to 4 bytes; not used where elements have 2 bytes and inputs are a multiple of 4. */
void kmtl_nn_dense(const kmtl_nn_dense_t *self, const void *in, void *out, int16_t *scratch);

/* Products of matrices, [batches][rows][depth] with [batches][depth][columns], each by its strides. */
typedef struct {
  kmtl_nn_output_t output; /* no bias */
  uint16_t batches;
  uint16_t rows;
  uint16_t columns;
  uint16_t depth;
  uint32_t left_strides[3];  /* elements from one batch, row and place of the depth to the next */
  uint32_t right_strides[3]; /* the same of batch, column and depth */
  int16_t left_zero;
  int16_t right_zero;
} kmtl_nn_matmul_t;

void kmtl_nn_matmul(const kmtl_nn_matmul_t *self, const void *left, const void *right, void *out);

/* Element by element. Shapes of up to 4 dimensions; a stride of 0 repeats an input's elements along a dimension. */
typedef struct {
  uint32_t shape[4];
  uint32_t strides[2][4];
  uint8_t flat; /* 1: both inputs have the output's shape */
} kmtl_nn_pairs_t;

/* (a * 2^left) scaled plus or minus (b * 2^left) scaled, scaled again. */
typedef struct {
  kmtl_nn_pairs_t pairs;
  uint8_t bytes;
  uint8_t subtract;
  uint8_t left;
  int16_t zeros[3]; /* of both inputs and the output */
  int32_t multipliers[3];
  int8_t shifts[3]; /* none is positive */
  int32_t lowest;
  int32_t highest;
} kmtl_nn_sum_t;

/* `out` may be an input that has the output's shape. */
void kmtl_nn_sum(const kmtl_nn_sum_t *self, const void *a, const void *b, void *out);

typedef struct {
  kmtl_nn_pairs_t pairs;
  uint8_t bytes;
  uint8_t wide; /* 1: a product may need more than 32 bits as it is scaled */
  int16_t zeros[3];
  int32_t multiplier;
  int8_t shift;
  int32_t lowest;
  int32_t highest;
} kmtl_nn_product_t;

void kmtl_nn_product(const kmtl_nn_product_t *self, const void *a, const void *b, void *out);

/* Other steps: (value - in_zero) scaled + out_zero, limited. */
typedef struct {
  uint32_t count;
  uint8_t in_bytes;
  uint8_t out_bytes;
  int16_t in_zero;
  int16_t out_zero;
  int32_t multiplier;
  int8_t shift;
  int32_t lowest;
  int32_t highest;
} kmtl_nn_requantize_t;

/* `out` may be `in` where both have elements of one size. */
void kmtl_nn_requantize(const kmtl_nn_requantize_t *self, const void *in, void *out);

/* A function of int8 values by its table, [256] from that of -128 on. `out` may be `in`. */
void kmtl_nn_table(const int8_t *table, const int8_t *in, uint32_t count, int8_t *out);

/* Logistic function or tanh of int16 values, by TensorFlow Lite's table of the former and straight lines between. */
typedef struct {
  uint32_t count;
  int32_t multiplier;
  uint8_t shift;
  uint8_t tanh; /* 1: tanh; 0: logistic */
} kmtl_nn_sigmoid_t;

/* `out` may be `in`. */
void kmtl_nn_sigmoid(const kmtl_nn_sigmoid_t *self, const int16_t *in, int16_t *out);

/* Softmax over the last dimension. */
typedef struct {
  uint16_t rows;
  uint16_t depth;
  const int32_t *exps;        /* int8: exp(-k steps) as Q0.31 for k = 0 .. count - 1; beyond that it is 0 */
  uint16_t count;
  const int16_t *exp_lut;     /* int16: [513] both */
  const int16_t *inverse_lut;
  int32_t multiplier;         /* int16: of a difference of inputs */
  int8_t shift;
} kmtl_nn_softmax_t;

/* `out` may be `in`. */
void kmtl_nn_softmax_int8(const kmtl_nn_softmax_t *self, const int8_t *in, int8_t *out);
void kmtl_nn_softmax_int16(const kmtl_nn_softmax_t *self, const int16_t *in, int16_t *out);

/* Maximum or rounded mean over windows, clipped to the map. */
typedef struct {
  uint16_t in_height;
  uint16_t in_width;
  uint16_t channels;
  uint16_t out_height;
  uint16_t out_width;
  uint16_t window_height;
  uint16_t window_width;
  uint16_t stride_height;
  uint16_t stride_width;
  uint16_t pad_top;
  uint16_t pad_left;
  uint8_t bytes;
  uint8_t mean; /* 1: mean; 0: maximum */
  int32_t lowest;
  int32_t highest;
} kmtl_nn_pool_t;

void kmtl_nn_pool(const kmtl_nn_pool_t *self, const void *in, void *out);

/* Sums over some dimensions, scaled: SUM, and MEAN by another multiplier. */
typedef struct {
  uint32_t kept[4]; /* sizes of the dimensions that stay, and their strides in the input */
  uint32_t kept_strides[4];
  uint32_t summed[4];
  uint32_t summed_strides[4];
  uint8_t bytes;
  int32_t offset; /* added to each sum */
  int32_t zero;
  int32_t multiplier;
  int8_t shift;
} kmtl_nn_reduce_t;

void kmtl_nn_reduce(const kmtl_nn_reduce_t *self, const void *in, void *out);

/* Moves a block of up to 4 dimensions: of bytes, or of whole elements where `run` has several bytes. */
typedef struct {
  uint32_t shape[4];
  uint32_t in_strides[4]; /* in bytes */
  uint32_t out_strides[4];
  uint32_t run; /* bytes that lie together */
} kmtl_nn_move_t;

void kmtl_nn_move(const kmtl_nn_move_t *self, const void *in, void *out);

/* A sum over constants that one flipped bit changes, whichever it is (FNV-1a); begins with KMTL_NN_CHECKSUM. */
#define KMTL_NN_CHECKSUM 2166136261u
uint32_t kmtl_nn_checksum(uint32_t sum, const void *data, uint32_t bytes);

/* Fills `count` elements of 1 or 2 bytes. */
void kmtl_nn_fill(void *out, uint32_t count, uint32_t bytes, int32_t value);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_NN_H_ */
