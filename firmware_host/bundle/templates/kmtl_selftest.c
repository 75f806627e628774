/* What self-tests share; see kmtl_selftest.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_selftest.h"

#include <stdio.h>

#define LINE_CHARACTERS (120)
#define STEPS_PER_DB (256.0f)

/* Numbers are printed as integers: printf of small C libraries has no floating point. */
static void differs(kmtl_print_t print, const char *stage, size_t index, int32_t expected, int32_t found,
                    const char *unit) {
  char line[LINE_CHARACTERS];

  (void)snprintf(line, sizeof(line), "FAIL %s[%lu]: expected %ld, found %ld%s", stage, (unsigned long)index,
                 (long)expected, (long)found, unit);
  print(line);
}

static bool is_near(int32_t expected, int32_t found, int32_t tolerance) {
  const int64_t difference = (int64_t)expected - (int64_t)found;
  return (difference <= tolerance) && (difference >= -(int64_t)tolerance);
}

/* Also for what is no number or beyond all integers. */
static int32_t whole(float value) {
  if (!((value > -2.0e9f) && (value < 2.0e9f))) {
    return -999999999;
  }
  return (int32_t)value;
}

/* kmtl_check_int8 and so on: one comparison for each type of integers. */
#define CHECK_INTEGERS(kind)                                                                                     \
  bool kmtl_check_##kind(kmtl_print_t print, const char *stage, const kind##_t *expected, const kind##_t *found, \
                         size_t count, size_t first, int32_t tolerance) {                                        \
    size_t k;                                                                                                    \
                                                                                                                 \
    for (k = 0u; k < count; k++) {                                                                               \
      if (!is_near(expected[k], found[k], tolerance)) {                                                          \
        differs(print, stage, first + k, expected[k], found[k], "");                                             \
        return false;                                                                                            \
      }                                                                                                          \
    }                                                                                                            \
    return true;                                                                                                 \
  }

CHECK_INTEGERS(int8)
CHECK_INTEGERS(uint8)
CHECK_INTEGERS(int16)
CHECK_INTEGERS(int32)

bool kmtl_check_float(kmtl_print_t print, const char *stage, const float *expected, const float *found, size_t count,
                      size_t first, float tolerance) {
  size_t k;

  for (k = 0u; k < count; k++) {
    const float difference = expected[k] - found[k];
    if (!((difference <= tolerance) && (difference >= -tolerance))) {
      differs(print, stage, first + k, whole(expected[k] * 1.0e6f), whole(found[k] * 1.0e6f), " millionths");
      return false;
    }
  }
  return true;
}

bool kmtl_check_levels(kmtl_print_t print, const int16_t *expected, const float *found_db, size_t count, size_t first,
                       float tolerance_db) {
  size_t k;

  for (k = 0u; k < count; k++) {
    const float found = found_db[k] * STEPS_PER_DB;
    const float difference = found - (float)expected[k];
    /* The golden value was rounded to its step. */
    const float most = (tolerance_db * STEPS_PER_DB) + 0.5f;
    if (!((difference <= most) && (difference >= -most))) {
      differs(print, "features", first + k, expected[k], whole(found), " / 256 dB");
      return false;
    }
  }
  return true;
}

int32_t kmtl_largest_int16(const int16_t *expected, const int16_t *found, size_t count, int32_t so_far) {
  int32_t largest = so_far;
  size_t k;

  for (k = 0u; k < count; k++) {
    const int32_t difference = (int32_t)expected[k] - (int32_t)found[k];
    const int32_t size = (difference < 0) ? -difference : difference;
    if (size > largest) {
      largest = size;
    }
  }
  return largest;
}

void kmtl_say_steps(kmtl_print_t print, const char *stage, int32_t largest) {
  char line[LINE_CHARACTERS];

  (void)snprintf(line, sizeof(line), "%s: largest difference %ld steps", stage, (long)largest);
  print(line);
}

void kmtl_say(kmtl_print_t print, const char *stage, const char *what) {
  char line[LINE_CHARACTERS];

  (void)snprintf(line, sizeof(line), "%s: %s", stage, what);
  print(line);
}
