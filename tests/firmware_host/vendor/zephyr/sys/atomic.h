/* Declarations of Zephyr's atomic numbers, as far as examples call them. */
#pragma once
typedef long atomic_t;
typedef long atomic_val_t;
atomic_val_t atomic_inc(atomic_t *target);
atomic_val_t atomic_get(const atomic_t *target);
