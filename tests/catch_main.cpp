// main() of every test executable under Catch2 version 2; version 3 brings its own
// (CMakeLists.txt).
#define CATCH_CONFIG_MAIN
#include "catch.hpp"
