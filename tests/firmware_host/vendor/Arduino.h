/* Declarations of Arduino's core, as far as examples call it. */
#pragma once
#include <cstddef>
#include <cstdint>
#define min(a, b) ((a) < (b) ? (a) : (b))
void delay(unsigned long ms);
struct SerialPort {
  void begin(unsigned long baud);
  void print(const char* text);
  void print(unsigned long number);
  void println(const char* text);
};
extern SerialPort Serial;
