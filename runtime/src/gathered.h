// Values of neighbouring groups, gathered so that what follows is vectors' work (wide.h).
#pragma once

#include <algorithm>
#include <type_traits>

#include "values.h"

namespace hnorm::detail {

constexpr int64_t kTogether = 64;

// Calls visit(n, c, count, first) for all groups of so many samples and channels, up to kTogether
// of them at a time: `first` is the place of the first of them, of sample n and channel c. They may
// go on in the next samples: few channels would not fill a vector.
template <typename Visit>
void for_together(int64_t samples, int64_t channels, const Visit &visit) {
    const int64_t groups = samples * channels;
    for (int64_t first = 0, n = 0, c = 0; first < groups; first += kTogether) {
        visit(n, c, std::min(kTogether, groups - first), first);
        c += kTogether;
        if (c >= channels) {
            n += c / channels;
            c %= channels;
        }
    }
}

// From channel `first` on, the values of all channels again and again: twice as many at each step.
template <typename From, typename To>
void repeat_channels(const From *of_channels, int64_t channels, int64_t first, int64_t count, To *to) {
    int64_t done = std::min(channels - first, count);
    std::copy_n(of_channels + first, done, to);
    if (done < count) {
        const int64_t rest = std::min(first, count - done);
        std::copy_n(of_channels, rest, to + done);
        done += rest;
    }
    for (; done < count; done *= 2) {
        std::copy_n(to, std::min(done, count - done), to + done);
    }
}

// The values of `count` groups, of which (n, c) is the first. Doubles in a row stay where they are.
class Gathered {
public:
    template <typename T>
    Gathered(const Values<T> &values, int64_t channels, int64_t n, int64_t c, int64_t count) {
        const T *data = &values.at(n, c);
        if (values.stride_n == 0 && values.stride_c == 0) {
            std::fill_n(copied_, count, *data);
            return;
        }
        const bool in_a_row = c + count <= channels || values.stride_n == channels;
        if (values.together == 1 && values.stride_c == 1 && in_a_row) {
            if constexpr (std::is_same_v<T, double>) {
                of = data;
            } else {
                std::copy_n(data, count, copied_);
            }
            return;
        }
        if (values.together == 1 && values.stride_c == 1 && values.stride_n == 0) {
            repeat_channels(values.data, channels, c, count, copied_);
            return;
        }
        int64_t left = values.together - (values.together == 1 ? 0 : c % values.together);  // channels of the group
        for (int64_t i = 0; i < count; ++i) {
            copied_[i] = *data;
            if (++c == channels) {
                c = 0;
                data = values.data + ++n * values.stride_n;
                left = values.together;
            } else if (--left == 0) {
                data += values.stride_c;
                left = values.together;
            }
        }
    }
    Gathered(const Gathered &) = delete;
    Gathered &operator=(const Gathered &) = delete;

private:
    double copied_[kTogether];

public:
    const double *of = copied_;
};

}  // namespace hnorm::detail
