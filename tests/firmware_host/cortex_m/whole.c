/* A whole bundle on an emulated Cortex-M: a listener, its networks as plain C99, and samples in pushes of 10 ms.
 *
 * Compiled with PREFIX, the bundle's name, UPPER, the same in capitals, SECONDS of audio and START, those of them before
 * an average begins. Prints "NAME NUMBER" lines. The audio is noise whose loudness changes, so that something is heard. */
#include <stdint.h>
#include <stdio.h>

#include "instructions.h"
#include "listener.h"
#include "listener_networks.h"

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)
#define PUSHES_A_SECOND 100u
#define SAMPLES (NAMED(UPPER, _SAMPLE_RATE_HZ) / PUSHES_A_SECOND)
#define STACK_BYTES 8192u
#define PAINT 0xA5A5A5A5u

extern uint32_t stack_top[];

static NAMED(PREFIX, _listener_t) memory;
static int16_t samples[SAMPLES];
static uint32_t heard;
static uint32_t failed;

static void push(void) {
  size_t done = 0u;
  while (done < SAMPLES) {
    kmtl_heard_t found;
    size_t taken = 0u;
    if (!kmtl_listener_push(&memory.listener, &samples[done], SAMPLES - done, &taken)) {
      failed = 1u;
      return;
    }
    done += taken;
    while (kmtl_listener_poll(&memory.listener, &found)) {
      heard++;
    }
  }
}

int main(void) {
  const uint64_t loop = ticks_of(known);
  volatile uint32_t *const bottom = stack_top - (STACK_BYTES / 4u);
  volatile uint32_t *at;
  uint64_t all = 0u;
  uint32_t seed = 1u, most = 0u, second, number, k;

  for (at = bottom; (uintptr_t)at < ((uintptr_t)&seed - 256u); at++) {
    *at = PAINT;
  }
  if (NAMED(PREFIX, _start)() != 0) {
    return 1;
  }
  NAMED(PREFIX, _listener_init)(&memory, NAMED(PREFIX, _run), NULL);
  for (second = 0u; second < SECONDS; second++) {
    for (number = 0u; number < PUSHES_A_SECOND; number++) {
      uint32_t ticks;
      for (k = 0u; k < SAMPLES; k++) {
        seed = (seed * 1664525u) + 1013904223u;
        samples[k] = (int16_t)((int32_t)(int16_t)(seed >> 16) / (1 << (second % 7u)));
      }
      ticks = ticks_of(push);
      most = (ticks > most) ? ticks : most;
      all += (second < START) ? 0u : ticks;
    }
  }
  for (at = bottom; (at < stack_top) && (*at == PAINT); at++) {
  }
  printf("instructions %lu\n", (unsigned long)(instructions_of(all, loop) / (SECONDS - START)));
  printf("worst %lu\n", (unsigned long)instructions_of(most, loop));
  printf("stack %lu\n", (unsigned long)((uintptr_t)stack_top - (uintptr_t)at));
  printf("heard %lu\nfailed %lu\n", (unsigned long)heard, (unsigned long)failed);
  return 0;
}
