// Dense tensors as rows of adjacent elements. Each element of a row is a channel of a pointwise
// kernel's position there, with the values of the channel that it belongs to. So vectors are full
// whatever the shape, and rows can begin and end with a cache line.
#pragma once

#include <algorithm>

#include "values.h"

namespace hnorm::detail {

// Of dense tensors: from element `begin` on, `columns` adjacent ones. Rows are those of one sample
// after the other or, channels-last, follow one another. blocks: the same from one plane to the
// next or, channels-last, from one sample to the next.
struct ElementRows {
    int64_t begin, columns, rows, blocks = 1;

    // What repeat() writes at a time. It may write so much more than there are values.
    static constexpr int64_t kStep = 16;

    CheckedTensor of(const CheckedTensor &p) const {
        const bool last = p.layout == Layout::kChannelsLast;
        return {p.data + begin * p.element_size(),
                p.type,
                p.device,
                Layout::kChannelsLast,
                blocks,
                columns,
                rows,
                blocks == 1 ? 0
                : last      ? p.stride_n
                            : p.stride_c,
                columns == 1 ? 0 : 1,
                last ? columns : p.stride_n};
    }
    // The values of the elements of a row, block after block, from those of the channels of p.
    void repeat(const CheckedTensor &p, const Values<float> &of_channels, float *to) const;
};

// How y, which is dense, is divided into rows for a pointwise kernel. Channels-last, `head`
// elements are before the first row, and rows of `columns` elements follow one another.
// Channels-first, `columns` elements of all samples are a task.
struct LineRows {
    // lines: rows must be whole lines. Else flat_elements (kernels.h) are a task, channels-first.
    LineRows(const CheckedTensor &y, bool lines, int64_t flat_elements);
    // Whether rows can be whole lines.
    static bool fit(const CheckedTensor &y);
    // Whether so many elements of a channels-last y are enough rows with the same values. To repeat
    // the values for few rows takes longer than is gained.
    static bool are_many(const CheckedTensor &y, int64_t elements);

    const int64_t head, columns;
};

}  // namespace hnorm::detail
