/* Counts instructions on an emulated Cortex-M, for programs that measure.
 *
 * The clock is SysTick under QEMU's `-icount shift=0`, where an instruction takes 1 ns; a loop of known length tells how
 * many instructions a tick is. */
#ifndef INSTRUCTIONS_H_
#define INSTRUCTIONS_H_

#include <stdint.h>

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_NOW (*(volatile uint32_t *)0xE000E018u)
#define SYSTICK_MOST 0xFFFFFFu
#define KNOWN_LOOPS 1000000u
#define INSTRUCTIONS_A_LOOP 2u

static uint32_t ticks_of(void (*what)(void)) {
  uint32_t from;
  SYSTICK_CONTROL = 0u;
  SYSTICK_RELOAD = SYSTICK_MOST;
  SYSTICK_NOW = 0u;
  SYSTICK_CONTROL = 5u; /* on, by the core's clock */
  from = SYSTICK_NOW;
  what();
  return (from - SYSTICK_NOW) & SYSTICK_MOST;
}

static void known(void) {
  uint32_t left = KNOWN_LOOPS;
  __asm__ volatile("1: subs %0, %0, #1\n\tbne 1b" : "+l"(left)::"cc");
}

/* Instructions of so many ticks; `loop` are those of known(). */
static uint64_t instructions_of(uint64_t ticks, uint64_t loop) {
  return (ticks * KNOWN_LOOPS * INSTRUCTIONS_A_LOOP) / loop;
}

#endif /* INSTRUCTIONS_H_ */
