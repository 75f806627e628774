/* Start of a program on an emulated Cortex-M with QEMU's semihosting: vector table, floating-point unit on, arguments.
 *
 * newlib's own start code for semihosting asks the emulator where heap and stack may be; of mps3-an547 QEMU names the
 * code memory, and malloc then fails. Files and the exit are newlib's (librdimon). */
#include <stdint.h>
#include <stdlib.h>

#define SYS_GET_CMDLINE 0x15u
#define SYS_EXIT_EXTENDED 0x20u
#define RUN_TIME_ERROR 0x20023u /* ADP_Stopped_RunTimeErrorUnknown */
#define FAULT_STATUS 70u
#define MOST_ARGUMENTS 32

extern uint32_t stack_top, __bss_start__, __bss_end__;
extern void initialise_monitor_handles(void);
extern int main(int argc, char **argv);

static void call_host(uint32_t operation, const void *block) {
  register uint32_t number __asm__("r0") = operation;
  register const void *parameter __asm__("r1") = block;
  __asm__ volatile("bkpt 0xab" : "+r"(number) : "r"(parameter) : "memory");
}

static void fault(void) {
  static const uint32_t block[2] = {RUN_TIME_ERROR, FAULT_STATUS};
  call_host(SYS_EXIT_EXTENDED, block);
  for (;;) {
  }
}

static int arguments(char **argv) {
  static char line[1024];
  const struct {
    char *text;
    uint32_t bytes;
  } block = {line, sizeof line};
  char *at = line;
  int count = 0;
  call_host(SYS_GET_CMDLINE, &block);
  while ((*at != '\0') && (count < MOST_ARGUMENTS)) {
    argv[count] = at;
    count++;
    while ((*at != '\0') && (*at != ' ')) {
      at++;
    }
    if (*at == ' ') {
      *at = '\0';
      at++;
    }
  }
  return count;
}

void reset(void) {
  char *argv[MOST_ARGUMENTS + 1] = {NULL};
  uint32_t *word;
  int count;
  /* CPACR: full access to coprocessors 10 and 11, the floating-point unit (and the vectors of an M55). */
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
  __asm__ volatile("dsb\n\tisb" ::: "memory");
  for (word = &__bss_start__; word < &__bss_end__; word++) {
    *word = 0u;
  }
  initialise_monitor_handles();
  count = arguments(argv);
  exit(main(count, argv));
}

/* Called by newlib around main and at exit; there is nothing to do. */
void _init(void) {}
void _fini(void) {}

typedef void (*vector_t)(void);
/* Entry 0 is the stack pointer, 1 the reset; any exception up to 15 (SysTick) ends the emulation with an error. */
__attribute__((section(".vectors"), used)) static const struct {
  void *stack;
  vector_t handlers[15];
} vectors = {&stack_top,
             {reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault}};
