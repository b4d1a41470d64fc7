/* A program that uses one function of hnorm: HNORM_FUNCTION. */
#include <hnorm/hnorm.h>

int main(void) {
    const void *volatile function = (const void *)HNORM_FUNCTION;
    return function == 0;
}
