#include "demo.h"

#include <iostream>

int main(int argc, char **argv) { return demo::run({argv + 1, argv + argc}, std::cout, std::cerr); }
