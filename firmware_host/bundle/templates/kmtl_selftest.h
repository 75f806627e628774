/* What self-tests share: arrays compared with golden ones, and the first difference printed.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#ifndef KMTL_SELFTEST_H_
#define KMTL_SELFTEST_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Takes one line without its end: to a terminal, a serial port, a debugger. */
typedef void (*kmtl_print_t)(const char *line);

/* Compare `count` elements with golden ones; each may differ by `tolerance` at most. The first that differs by more is
 * printed: stage, index (counted from `first` on), expected, found. Returns whether there is none. */
bool kmtl_check_int8(kmtl_print_t print, const char *stage, const int8_t *expected, const int8_t *found, size_t count,
                     size_t first, int32_t tolerance);
bool kmtl_check_uint8(kmtl_print_t print, const char *stage, const uint8_t *expected, const uint8_t *found,
                      size_t count, size_t first, int32_t tolerance);
bool kmtl_check_int16(kmtl_print_t print, const char *stage, const int16_t *expected, const int16_t *found,
                      size_t count, size_t first, int32_t tolerance);
bool kmtl_check_int32(kmtl_print_t print, const char *stage, const int32_t *expected, const int32_t *found,
                      size_t count, size_t first, int32_t tolerance);
/* Floats are printed in millionths. What is no number differs from everything. */
bool kmtl_check_float(kmtl_print_t print, const char *stage, const float *expected, const float *found, size_t count,
                      size_t first, float tolerance);
/* One frame of log-mel in dB against golden ones in steps of 1/256 dB; printed in steps. */
bool kmtl_check_levels(kmtl_print_t print, const int16_t *expected, const float *found_db, size_t count, size_t first,
                       float tolerance_db);

/* The largest difference of two arrays, or `so_far` if that is larger. */
int32_t kmtl_largest_int16(const int16_t *expected, const int16_t *found, size_t count, int32_t so_far);

/* Prints a stage and its result. */
void kmtl_say(kmtl_print_t print, const char *stage, const char *what);

/* Prints how far a stage's integers were from the golden ones. */
void kmtl_say_steps(kmtl_print_t print, const char *stage, int32_t largest);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_SELFTEST_H_ */
