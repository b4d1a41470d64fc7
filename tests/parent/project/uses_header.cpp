// Macros of other libraries: assertions, minima, results.
#define check(expression) error_of_check
#define verify(expression) error_of_verify
#define require(expression) error_of_require
#define expect(expression) error_of_expect
#define ensure(expression) error_of_ensure
#define min(a, b) error_of_min
#define max(a, b) error_of_max
#define OK error_of_OK
#define ERROR error_of_ERROR
#define TRUE error_of_TRUE
#define FALSE error_of_FALSE
#include <hnorm/hnorm.hpp>

int uses_header() {
    hnorm::BatchNorm bn(3);
    return static_cast<int>(bn.gamma().size());
}
