/* Scene smoothing: the scene head's logits in, a scene that does not flicker out.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * Softmax of the logits, its exponential mean over the calls, and a scene that changes only when another one has had
 * the largest mean for `hold` calls in a row. keras_mtl.decoding.SceneSmoother does the same in Python.
 */
#ifndef KMTL_SCENE_SMOOTHER_H_
#define KMTL_SCENE_SMOOTHER_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The scene before the first call. */
#define KMTL_NO_SCENE (0xFFFFu)

/* How to smooth. */
typedef struct {
  uint16_t classes;   /* at least 1 */
  uint16_t hold;      /* calls in a row after which the scene changes; 1: at once */
  float weight;       /* share of the newest scores in the mean, above 0 and up to 1; 1: no mean. After n calls an old
                       * score counts (1 - weight)^n of what it did */
  float scale;        /* logit = scale * (integer - zero point): the zero point falls out of a softmax */
} kmtl_scene_settings_t;

/* State of a smoother. `scene` and `scores` are for reading, the rest is its own. */
typedef struct {
  const kmtl_scene_settings_t *settings;
  float *scores;      /* the mean probabilities, [classes] */
  uint16_t scene;     /* number of the present scene, or KMTL_NO_SCENE */
  uint16_t candidate; /* the scene that had the largest mean last */
  uint16_t times;     /* for how many calls in a row; hold at most */
} kmtl_scene_smoother_t;

/* Begins.
 * settings  must outlive the state.
 * scores    [classes], kept between calls. */
void kmtl_scene_smoother_init(kmtl_scene_smoother_t *self, const kmtl_scene_settings_t *settings, float *scores);

/* Begins anew, with no scene. */
void kmtl_scene_smoother_reset(kmtl_scene_smoother_t *self);

/* Takes the logits of one call, [classes], as the network's integers. Returns the present scene: that of
 * the first call at once. Of two equal scores the first class counts. */
uint16_t kmtl_scene_smoother_push_int8(kmtl_scene_smoother_t *self, const int8_t *logits);
uint16_t kmtl_scene_smoother_push_int16(kmtl_scene_smoother_t *self, const int16_t *logits);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_SCENE_SMOOTHER_H_ */
