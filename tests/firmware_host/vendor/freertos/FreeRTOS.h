/* Declarations of FreeRTOS, as far as examples call it. */
#pragma once
#include <stddef.h>
#include <stdint.h>
typedef uint32_t TickType_t;
typedef long BaseType_t;
#define portMAX_DELAY 0xffffffffu
