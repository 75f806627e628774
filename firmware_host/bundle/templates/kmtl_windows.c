/* Windows of an encoder over a clip; see kmtl_windows.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_windows.h"

bool kmtl_windows_next(const kmtl_windows_t *windows, int32_t clip_frames, kmtl_window_t *window) {
  const int32_t done = window->at + (window->end - window->first);
  const int32_t furthest = clip_frames - windows->frames;
  const bool begun = window->end > 0;
  /* A window that was moved back from the end of the clip is the last one, so this is not asked of it. */
  const int32_t wanted = begun ? (window->start + ((windows->last - windows->first) * windows->stride)) : 0;

  if (done >= (clip_frames / windows->stride)) {
    return false;
  }
  window->start = (wanted < furthest) ? wanted : furthest;
  window->first = done - (window->start / windows->stride);
  window->end = (window->start == furthest) ? (windows->frames / windows->stride) : windows->last;
  window->at = done;
  return true;
}
