/* How an encoder goes over a clip: windows of log-mel that overlap, so that a clip heard window by window has the
 * embeddings of the clip heard at once.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#ifndef KMTL_WINDOWS_H_
#define KMTL_WINDOWS_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Embeddings first <= k < last of a window see nothing but the window. All of them in log-mel frames but the last two. */
typedef struct {
  int32_t frames; /* of one window: the encoder's input */
  int32_t stride; /* frames of one embedding */
  int32_t first;
  int32_t last;
} kmtl_windows_t;

/* The next window of a clip, and what of it is kept: embeddings first up to end, which are the clip's from `at` on. */
typedef struct {
  int32_t start; /* its first frame */
  int32_t first;
  int32_t end;
  int32_t at;
} kmtl_window_t;

/* Goes on to the next window; returns false when the clip is through. At the clip's own ends nothing is dropped.
 * windows      the settings, as the generated ones of a set.
 * clip_frames  frames of the clip: a multiple of `stride`, and at least one window.
 * window       all fields 0 before the first call; what the last call gave before the others. */
bool kmtl_windows_next(const kmtl_windows_t *windows, int32_t clip_frames, kmtl_window_t *window);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_WINDOWS_H_ */
