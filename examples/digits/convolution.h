// Convolution with 3 x 3 filters and a border of zeros.
#pragma once

#include "layer.h"

namespace digits {

class Convolution : public Layer {
public:
    // Initialized as He et al. 2015: normal, variance 2/(9 inputs). A normalization that follows
    // has a shift of its own and takes away any other, so that a bias before it would do nothing.
    Convolution(int inputs, int outputs, int stride, bool bias, Random &random);

    Array forward(Array x) override;
    Array backward(Array dy) override;
    std::vector<Parameter> parameters() override;

private:
    int output_extent(int extent) const { return (extent - 1) / stride_ + 1; }
    // Row (channel, filter position), column (output position): what each weight is multiplied
    // with.
    void gather(const float *image);
    // The transpose of gather: adds columns_ to the pixels they were gathered from.
    void scatter(float *image) const;
    template <typename Visit>
    void each_row(Visit visit) const;

    int inputs_, outputs_, stride_;
    std::vector<float> weights_, weights_gradient_;  // (outputs, inputs, 3, 3)
    std::vector<float> bias_, bias_gradient_;        // (outputs), or empty
    std::vector<float> columns_;
    Array x_;
};

}  // namespace digits
