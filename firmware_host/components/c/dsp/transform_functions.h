/* What the log-mel front end calls of CMSIS-DSP, for where there is none: a real FFT, powers, logarithms.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * The names are CMSIS-DSP's for the front end's source alone; what is linked has names of its own, so that both may be in
 * one firmware. Delete this folder and kmtl_fft.c to take CMSIS-DSP instead. */
#ifndef KMTL_DSP_TRANSFORM_FUNCTIONS_H_
#define KMTL_DSP_TRANSFORM_FUNCTIONS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ARM_MATH_SUCCESS 0
#define ARM_MATH_ARGUMENT_ERROR (-1)
#define arm_status kmtl_fft_status_t
#define arm_rfft_fast_instance_f32 kmtl_fft_t
#define arm_rfft_fast_f32 kmtl_fft_real
#define arm_cmplx_mag_squared_f32 kmtl_fft_power
#define arm_vlog_f32 kmtl_fft_log
#define arm_rfft_fast_init_32_f32 kmtl_fft_init_32
#define arm_rfft_fast_init_64_f32 kmtl_fft_init_64
#define arm_rfft_fast_init_128_f32 kmtl_fft_init_128
#define arm_rfft_fast_init_256_f32 kmtl_fft_init_256
#define arm_rfft_fast_init_512_f32 kmtl_fft_init_512
#define arm_rfft_fast_init_1024_f32 kmtl_fft_init_1024
#define arm_rfft_fast_init_2048_f32 kmtl_fft_init_2048
#define arm_rfft_fast_init_4096_f32 kmtl_fft_init_4096

typedef int kmtl_fft_status_t;

/* An FFT of one length. */
typedef struct {
  uint32_t points;
  const float *sines; /* sin(2 pi k / points), k = 0 .. points / 4 */
} kmtl_fft_t;

/* Begins. `sines` as in the struct: a generated table, which kmtl_fft_init_N hands in. */
kmtl_fft_status_t kmtl_fft_begin(kmtl_fft_t *self, uint32_t points, const float *sines);

/* Real to complex, in the order of arm_rfft_fast_f32: the real parts of the first and the last bin, then the bins
 * between. `points` [points] is overwritten; `spectrum` [points]; `inverse` is 0. */
void kmtl_fft_real(const kmtl_fft_t *self, float *points, float *spectrum, uint8_t inverse);

/* |z|^2 of complex numbers, [2 * count] to [count]; may be in place. */
void kmtl_fft_power(const float *numbers, float *power, uint32_t count);

/* Natural logarithms; may be in place. */
void kmtl_fft_log(const float *numbers, float *logarithms, uint32_t count);

kmtl_fft_status_t kmtl_fft_init_32(kmtl_fft_t *self);
kmtl_fft_status_t kmtl_fft_init_64(kmtl_fft_t *self);
kmtl_fft_status_t kmtl_fft_init_128(kmtl_fft_t *self);
kmtl_fft_status_t kmtl_fft_init_256(kmtl_fft_t *self);
kmtl_fft_status_t kmtl_fft_init_512(kmtl_fft_t *self);
kmtl_fft_status_t kmtl_fft_init_1024(kmtl_fft_t *self);
kmtl_fft_status_t kmtl_fft_init_2048(kmtl_fft_t *self);
kmtl_fft_status_t kmtl_fft_init_4096(kmtl_fft_t *self);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_DSP_TRANSFORM_FUNCTIONS_H_ */
