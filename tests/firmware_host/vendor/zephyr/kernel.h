/* Declarations of Zephyr's kernel, as far as examples call it. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#define ARG_UNUSED(x) (void)(x)
typedef struct { int64_t ticks; } k_timeout_t;
#define K_NO_WAIT ((k_timeout_t){0})
#define K_FOREVER ((k_timeout_t){-1})
struct k_mem_slab { int unused; };
struct k_msgq { int unused; };
struct k_sem { int unused; };
struct k_thread { int unused; };
typedef void (*k_thread_entry_t)(void *, void *, void *);
#define K_MEM_SLAB_DEFINE_STATIC(name, bytes, count, align) \
  static struct k_mem_slab name = {(int)((bytes) * (count) + (align))}
#define K_MSGQ_DEFINE(name, bytes, count, align) struct k_msgq name = {(int)((bytes) * (count) + (align))}
#define K_SEM_DEFINE(name, first, most) struct k_sem name = {(first) + (most)}
#define K_THREAD_DEFINE(name, stack, entry, a, b, c, priority, options, delay) \
  const k_thread_entry_t name##_entry = (entry); const int name##_stack = (stack) + (priority)
void k_mem_slab_free(struct k_mem_slab *slab, void *mem);
int k_msgq_put(struct k_msgq *queue, const void *data, k_timeout_t timeout);
int k_msgq_get(struct k_msgq *queue, void *data, k_timeout_t timeout);
int k_sem_take(struct k_sem *sem, k_timeout_t timeout);
void k_sem_give(struct k_sem *sem);
