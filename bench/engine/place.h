// Where the calls run: what differs between the CPU (on_cpu.cpp) and a device (on_device.cpp).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "calls.h"

namespace hnorm::bench {

// Makes the kernels of a row of the dispatch table those in use.
void use(const std::string &row);
std::vector<std::string> table_rows();

// What is timed on, as JSON.
std::string machine();
// Numbers of threads that may change which kernels a call takes.
std::vector<int> thread_counts();
// A timing lasts at least this long (rounds.h), so that also the wait for a device at its end
// vanishes.
double least_timing();

// Gives the calls memory there; then send() brings there what the arrays hold, and fetch() brings
// back what calls made of it.
void place(Calls &calls);
void send();
void fetch();
// Gives one of the arrays these values, where the calls take it.
void fill(Calls &calls, const std::string &name, const void *values, int64_t bytes);
// For what has been queued.
void wait();

// The copy floor: what the case reads and writes at least, moved there.
std::function<void()> floor_of(Calls &calls, const Case &c);

}  // namespace hnorm::bench
