/* Declarations of ESP-IDF's errors, as far as examples use them. */
#pragma once
typedef int esp_err_t;
#define ESP_OK 0
void esp_check(esp_err_t error);
#define ESP_ERROR_CHECK(x) esp_check(x)
