// Calls that are captured for CUDA graphs, on machines without a driver (cuda_stand_in.h): what can
// be captured, what is refused, and what then happens to memory.
#include "../api.h"
#include "../catch.hpp"
#include "cuda_stand_in.h"

#include <vector>

using namespace cuda_stand_in;
using api::require_refused;

namespace {

// Calls of all kinds, by what they need of the driver: each layout, 16-bit elements, groups of
// channels, post-ops, a layer.
struct Work {
    static constexpr int64_t kN = 4, kC = 6, kS = 700;
    static constexpr size_t kElements = kN * kC * kS, kGroups = kN * kC;
    template <typename T>
    using Array = hnorm::DeviceArray<T>;
    static constexpr hnorm::Device kCuda = hnorm::Device::cuda;
    Array<float> x{kCuda, kElements}, dy{kCuda, kElements}, y{kCuda, kElements}, residual{kCuda, kElements};
    Array<float> dresidual{kCuda, kElements}, dx{kCuda, kElements};
    Array<double> mean{kCuda, kGroups}, variance{kCuda, kGroups}, count{kCuda, kGroups};
    Array<double> sums{kCuda, kGroups}, more_sums{kCuda, kGroups};
    hnorm::BatchNorm bn{kC, hnorm::Options().relu()};
    hnorm_type type = HNORM_F32;
    int channels_last = 0;

    Work() { bn.to(kCuda); }
    hnorm_tensor tensor(Array<float> &array) const {
        const int64_t shape[] = {kN, kC, kS};
        hnorm_tensor t = hnorm_dense(array.data(), type, channels_last, 3, shape);
        t.device = HNORM_CUDA;
        return t;
    }
    void functions(hnorm_group group) {
        const hnorm_tensor in = tensor(x), out = tensor(y), added = tensor(residual), gradient = tensor(dy);
        const hnorm_tensor to_in = tensor(dx), to_added = tensor(dresidual);
        const hnorm_post_ops post{sizeof post, HNORM_RELU, 0, &added};
        const hnorm_post_ops_gradient back{sizeof back, HNORM_RELU, 0, &added, &to_added};
        double *const m = mean.data(), *const v = variance.data();
        REQUIRE(hnorm_moments(&in, group, count.data(), m, v) == HNORM_OK);
        REQUIRE(hnorm_forward(&in, group, nullptr, 1e-5, &post, &out, m, v) == HNORM_OK);
        REQUIRE(hnorm_normalize(&in, group, m, v, nullptr, 1e-5, nullptr, &out) == HNORM_OK);
        REQUIRE(hnorm_backward(&in, &gradient, group, m, v, nullptr, 1e-5, nullptr, &to_in, nullptr, nullptr) ==
                HNORM_OK);
        REQUIRE(hnorm_backward(&in, &gradient, group, m, v, nullptr, 1e-5, &back, &to_in, nullptr, nullptr) ==
                HNORM_OK);
        if (group >= HNORM_GROUPS) return;  // the sums of groups of channels are not for their own use
        REQUIRE(hnorm_backward_reduce(&in, &gradient, group, m, sums.data(), more_sums.data()) == HNORM_OK);
        REQUIRE(hnorm_backward_apply(&in, &gradient, group, count.data(), m, v, sums.data(), more_sums.data(), nullptr,
                                     1e-5, &to_in) == HNORM_OK);
    }
    void training_step() {
        const hnorm_tensor in = tensor(x), out = tensor(y), gradient = tensor(dy), to_in = tensor(dx);
        bn.zero_grad();
        REQUIRE(hnorm_layer_forward(bn.c(), &in, &out) == HNORM_OK);
        REQUIRE(hnorm_layer_backward(bn.c(), &in, &gradient, &to_in) == HNORM_OK);
    }
    void all() {
        for (const hnorm_type one : {HNORM_F32, HNORM_BF16}) {
            for (const int last : {0, 1}) {
                type = one, channels_last = last;
                for (const hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE, hnorm_groups(2)}) functions(group);
                training_step();
            }
        }
    }
};

// All calls while it lives are captured, on this stream.
struct Capture {
    explicit Capture(void *stream) { captured = stream, capture_is_broken = false; }
    ~Capture() { captured = nullptr; }
};

}  // namespace

TEST_CASE("calls that have run once with a shape can be captured for a CUDA graph") {
    hnorm::use_cuda(pointer(0x2000), pointer(0x301));
    Work work;
    work.all();
    launches.clear();
    work.all();
    const size_t expected = launches.size();
    launches.clear();
    {
        const Capture capture(pointer(0x301));
        work.all();
    }
    REQUIRE(!capture_is_broken);
    REQUIRE(launches.size() == expected);
    REQUIRE(all_launched(pointer(0x2000), pointer(0x301)));
}

TEST_CASE("what a capture forbids is refused before CUDA's driver is asked, and the capture goes on") {
    hnorm::use_cuda(pointer(0x2000), pointer(0x302));
    Data data;
    std::vector<float> host(1);
    const hnorm_status first = [&] {
        const Capture capture(pointer(0x302));
        require_refused(hnorm_device_copy_in(HNORM_CUDA, data.x.data(), host.data(), 4), HNORM_UNSUPPORTED,
                        {"hnorm_device_copy_in", "captured for a CUDA graph", "before or after the capture"});
        require_refused(hnorm_device_copy_out(HNORM_CUDA, host.data(), data.x.data(), 4), HNORM_UNSUPPORTED,
                        {"hnorm_device_copy_out", "before or after the capture"});
        require_refused(hnorm_device_synchronize(HNORM_CUDA), HNORM_UNSUPPORTED, {"hnorm_device_synchronize"});
        require_refused(hnorm_device_release(HNORM_CUDA), HNORM_UNSUPPORTED, {"hnorm_device_release", "freed"});
        require_refused(hnorm_device_free(HNORM_CUDA, data.x.data()), HNORM_UNSUPPORTED, {"hnorm_device_free"});
        return data.forward();  // no call has left working memory on this stream
    }();
    require_refused(first, HNORM_UNSUPPORTED, {"make the same call once, on the same stream, before the capture"});
    REQUIRE(!capture_is_broken);
    REQUIRE(data.forward() == HNORM_OK);
}

TEST_CASE("memory that a CUDA graph may use is not freed where memory runs out, but with the context's") {
    void *const context = pointer(0xb000), *const stream = pointer(0x303);
    hnorm::use_cuda(context, stream);
    {
        Data data;
        REQUIRE(data.forward() == HNORM_OK);
        {
            const Capture capture(stream);
            REQUIRE(data.forward() == HNORM_OK);
        }
        const size_t before = memory.size();
        void *given = nullptr;
        capacity = 0;
        const hnorm_status status = hnorm_device_allocate(HNORM_CUDA, 8, &given);
        capacity = SIZE_MAX;
        REQUIRE(status == HNORM_OUT_OF_MEMORY);
        REQUIRE(memory.size() == before);
    }
    REQUIRE(hnorm_device_release(HNORM_CUDA) == HNORM_OK);
    REQUIRE(count_of(memory, context) == 0);
}
