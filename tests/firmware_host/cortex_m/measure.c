/* Measures one part of the C around the network on an emulated Cortex-M: memory, stack, instructions.
 *
 * Compiled with MEASURE set to one of the numbers below, and linked: what a program with that part is larger than that of
 * MEASURE_NOTHING is the part's code. Prints "NAME NUMBER" lines. */
#include <stdint.h>
#include <stdio.h>

#include "instructions.h"

#define MEASURE_NOTHING 0
#define MEASURE_LOG_MEL 1
#define MEASURE_DECODER 2
#define MEASURE_SMOOTHER 3
#define MEASURE_CELLS 4
#define MEASURE_LISTENER 5

#define OTHER_LOOPS 700000u
#define INSTRUCTIONS_AN_OTHER 5u
#define STACK_BYTES 16384u
#define PAINT 0xA5A5A5A5u

static int16_t random_score(void) {
  static uint32_t seed = 1u;
  seed = (seed * 1664525u) + 1013904223u;
  return (int16_t)(seed >> 16);
}

#if MEASURE == MEASURE_LOG_MEL
#include "mt_tables.h"
static kmtl_log_mel_t front_end;
static kmtl_log_mel_sample_t history[MT_WINDOW];
static kmtl_log_mel_scratch_t scratch[MT_SCRATCH];
static int16_t samples[MT_SAMPLE_RATE_HZ];
static float levels[MT_BANDS];
static int8_t row[MT_BANDS];
static volatile int8_t sink;

static void set_up(void) {
  uint32_t k;
  kmtl_log_mel_init(&front_end, &mt_tables, history, scratch);
  for (k = 0u; k < MT_SAMPLE_RATE_HZ; k++) {
    samples[k] = random_score();
  }
  printf("kept_bytes %u\nscratch_bytes %u\n", (unsigned)(sizeof front_end + sizeof history), (unsigned)sizeof scratch);
}

/* One second of audio, hop by hop. */
static void work(void) {
  uint32_t done;
  for (done = 0u; done < MT_SAMPLE_RATE_HZ; done += MT_HOP) {
    size_t at = 0u;
    while (at < MT_HOP) {
      at += kmtl_log_mel_push_int16(&front_end, &samples[done + at], MT_HOP - at);
      if (kmtl_log_mel_ready(&front_end)) {
        kmtl_log_mel_frame(&front_end, levels);
        kmtl_log_mel_quantize_int8(levels, MT_BANDS, 1.7f, 12.0f, row);
        sink = row[0];
      }
    }
  }
}
#elif MEASURE == MEASURE_DECODER
#include "kmtl_event_decoder.h"
#define CLASSES 10
#define MEDIAN 11
#define STEPS 25
#define OF_A_CLASS {MEDIAN, 0, -8000, 0u, 0u}
static const kmtl_event_class_t each[CLASSES] = {OF_A_CLASS, OF_A_CLASS, OF_A_CLASS, OF_A_CLASS, OF_A_CLASS,
                                                 OF_A_CLASS, OF_A_CLASS, OF_A_CLASS, OF_A_CLASS, OF_A_CLASS};
static const kmtl_event_settings_t settings = {CLASSES, MEDIAN, INT16_MIN, each};
static kmtl_event_decoder_t decoder;
static int16_t memory[KMTL_EVENT_DECODER_SCORES(CLASSES, MEDIAN)];
static kmtl_event_track_t tracks[CLASSES];
static int16_t scores[STEPS][CLASSES];
static volatile size_t sink;

static void set_up(void) {
  uint32_t step, label;
  kmtl_event_decoder_init(&decoder, &settings, memory, tracks);
  for (step = 0u; step < STEPS; step++) {
    for (label = 0u; label < CLASSES; label++) {
      scores[step][label] = random_score();
    }
  }
  printf("kept_bytes %u\nscratch_bytes 0\n", (unsigned)(sizeof decoder + sizeof memory + sizeof tracks));
}

/* One second: 25 steps of 10 classes, noise, which changes more than sound does. */
static void work(void) {
  uint32_t step;
  for (step = 0u; step < STEPS; step++) {
    kmtl_event_t events[CLASSES];
    sink = kmtl_event_decoder_push(&decoder, scores[step], events);
  }
}
#elif MEASURE == MEASURE_SMOOTHER
#include "kmtl_scene_smoother.h"
#define CLASSES 10
static const kmtl_scene_settings_t settings = {CLASSES, 3, 0.3f, 0.1f};
static kmtl_scene_smoother_t smoother;
static float scores[CLASSES];
static int8_t logits[CLASSES];
static volatile uint16_t sink;

static void set_up(void) {
  uint32_t k;
  kmtl_scene_smoother_init(&smoother, &settings, scores);
  for (k = 0u; k < CLASSES; k++) {
    logits[k] = (int8_t)(random_score() / 256);
  }
  printf("kept_bytes %u\nscratch_bytes 0\n", (unsigned)(sizeof smoother + sizeof scores));
}

/* One second: one window of the scene head. */
static void work(void) { sink = kmtl_scene_smoother_push_int8(&smoother, logits); }
#elif MEASURE == MEASURE_CELLS
#include "kmtl_cells.h"
#define STEPS 25
#define INPUTS 64
#define UNITS 64
/* The driver alone: cells that do nothing. */
static bool nothing(void *context, const void *input, const void *state, void *next) {
  (void)context;
  (void)input;
  (void)state;
  *(volatile int16_t *)next = 0;
  return true;
}
static bool emit(void *context, uint32_t step, const void *states) {
  (void)context;
  (void)step;
  (void)states;
  return true;
}
static const kmtl_cell_t first = {nothing, NULL, INPUTS, UNITS, 2, 2, 0};
static const kmtl_cell_t second = {nothing, NULL, 2 * UNITS, UNITS, 2, 2, 0};
static int16_t states_1[STEPS * 2 * UNITS], states_2[STEPS * UNITS], input[INPUTS], running[2 * UNITS];
static int8_t embeddings[STEPS * INPUTS];
static const kmtl_cells_layer_t layers[2] = {{&first, &first, states_1}, {&second, &second, states_2}};
static const kmtl_cells_t network = {layers, 2, {true, 7, -128}, input, running};
static volatile bool sink;

static void set_up(void) {
  embeddings[0] = (int8_t)random_score();
  printf("kept_bytes %u\nscratch_bytes 0\n", (unsigned)(sizeof states_1 + sizeof states_2 + sizeof input + sizeof running));
}

/* One second of embeddings through two bidirectional layers. */
static void work(void) { sink = kmtl_cells_run(&network, embeddings, STEPS, emit, NULL); }
#elif MEASURE == MEASURE_LISTENER
#include "kmtl_listener.h"
#include "mt_tables.h"
#define CLASSES 10
#define MEDIAN 11
#define FRAMES 4
#define EMBEDDING 224
#define STATES 4096
#define UNITS 128
#define WINDOW 25
/* Sizes of `mt` in int8, event decoder forwards; networks that do nothing. */
static int nothing(void *context, int network, const void *const *inputs, void *const *outputs) {
  (void)context;
  (void)network;
  (void)inputs;
  *(volatile int8_t *)outputs[0] = 0;
  return 0;
}
static const kmtl_listener_state_t state = {STATES, -128, 1u};
static const kmtl_listener_encoder_t encoder = {0, 1u, 1u, 0u, FRAMES, 3u, EMBEDDING, &state, &mt_tables, 1.7f, 12.0f};
static const kmtl_listener_scenes_t scenes = {1, 1u, WINDOW, 5u, {CLASSES, 3u, 0.3f, 0.1f}};
static const kmtl_event_layer_t layers[2] = {{2, 2, EMBEDDING, UNITS, 0, 0}, {3, 3, UNITS, UNITS, 0, 0}};
#define OF_A_CLASS {MEDIAN, 16384, 16384, 0u, 0u}
static const kmtl_event_class_t each[CLASSES] = {OF_A_CLASS, OF_A_CLASS, OF_A_CLASS, OF_A_CLASS, OF_A_CLASS,
                                                 OF_A_CLASS, OF_A_CLASS, OF_A_CLASS, OF_A_CLASS, OF_A_CLASS};
static const kmtl_event_stream_settings_t events = {
    4, 2u, 2u, 2u, 2u, layers, {true, 7u, -128}, 0u, 0u, 0u, 0u, 0u, {CLASSES, MEDIAN, 0, each}};
static const kmtl_listener_settings_t settings = {&encoder, &scenes, &events, WINDOW};
static kmtl_listener_t listener;
static kmtl_log_mel_sample_t history[MT_WINDOW];
static kmtl_log_mel_scratch_t scratch[MT_SCRATCH];
static float levels[MT_BANDS], scene_scores[CLASSES];
static int8_t log_mel[FRAMES * MT_BANDS], states[STATES], embedding[EMBEDDING], ring[WINDOW * EMBEDDING], logits[CLASSES];
static int16_t running[2 * UNITS], cell_input[EMBEDDING], scores[CLASSES];
static int16_t decoder_scores[KMTL_EVENT_DECODER_SCORES(CLASSES, MEDIAN)];
static kmtl_event_track_t tracks[CLASSES];
static kmtl_event_t changes[CLASSES];
static int16_t samples[MT_SAMPLE_RATE_HZ / 10];

static void set_up(void) {
  const kmtl_event_stream_memory_t of_events = {NULL,    running, cell_input, scores, decoder_scores,
                                                tracks, changes, NULL,       NULL,   NULL};
  const kmtl_listener_memory_t memory = {history, scratch, levels,       log_mel,  states, embedding,
                                         ring,    logits,  scene_scores, of_events};
  uint32_t k;
  kmtl_listener_init(&listener, &settings, &memory, nothing, NULL);
  for (k = 0u; k < (MT_SAMPLE_RATE_HZ / 10); k++) {
    samples[k] = random_score();
  }
  printf("kept_bytes %u\nscratch_bytes %u\n",
         (unsigned)(sizeof listener + sizeof history + sizeof levels + sizeof scene_scores + sizeof log_mel +
                    sizeof states + sizeof embedding + sizeof ring + sizeof logits + sizeof running +
                    sizeof cell_input + sizeof scores + sizeof decoder_scores + sizeof tracks + sizeof changes),
         (unsigned)sizeof scratch);
}

/* One second of audio. */
static void work(void) {
  uint32_t part;
  for (part = 0u; part < 10u; part++) {
    size_t at = 0u, taken;
    kmtl_heard_t heard;
    while (at < (MT_SAMPLE_RATE_HZ / 10)) {
      (void)kmtl_listener_push(&listener, &samples[at], (MT_SAMPLE_RATE_HZ / 10) - at, &taken);
      at += taken;
      while (kmtl_listener_poll(&listener, &heard)) {
      }
    }
  }
}
#else
static void set_up(void) {}
static void work(void) { (void)random_score(); }
#endif

/* Another loop of known length, to see that the count is right. */
static void other(void) {
  uint32_t left = OTHER_LOOPS;
  __asm__ volatile("1: nop\n\tnop\n\tnop\n\tsubs %0, %0, #1\n\tbne 1b" : "+r"(left)::"cc");
}

/* Bytes of stack that work() uses: paints what lies below this function's own, and looks what is left of it. */
static uint32_t __attribute__((noinline)) stack_of(void (*what)(void)) {
  volatile uint32_t *top, *at;
  __asm__ volatile("mov %0, sp" : "=r"(top));
  for (at = top - (STACK_BYTES / 4u); at < top; at++) {
    *at = PAINT;
  }
  what();
  for (at = top - (STACK_BYTES / 4u); (at < top) && (*at == PAINT); at++) {
  }
  return (uint32_t)(top - at) * 4u;
}

int main(void) {
  const uint64_t loop = ticks_of(known);
  set_up();
  work(); /* begins as it goes on: a front end's first frames come early */
  printf("instructions %u\n", (unsigned)instructions_of(ticks_of(work), loop));
  printf("other_counted %u\n", (unsigned)instructions_of(ticks_of(other), loop));
  printf("other_has %u\n", OTHER_LOOPS * INSTRUCTIONS_AN_OTHER);
  printf("stack_bytes %u\n", (unsigned)stack_of(work));
  return 0;
}
