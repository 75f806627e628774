/* Declarations of FreeRTOS's tasks, as far as examples call them. */
#pragma once
#include "freertos/FreeRTOS.h"
typedef void *TaskHandle_t;
BaseType_t xTaskCreate(void (*task)(void *), const char *name, uint32_t stack, void *context, unsigned priority,
                       TaskHandle_t *created);
void vTaskDelete(TaskHandle_t task);
