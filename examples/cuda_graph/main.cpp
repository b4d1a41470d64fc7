// A training step of a batch norm as a CUDA graph: it runs once, is captured, and is replayed on
// new data with one launch. Says whether each replay has the CPU's bits, and how long a step takes
// call by call and replayed. Without a GPU, why there is none.
#include "driver.h"

#include <hnorm/gpu.hpp>
#include <hnorm/hnorm.hpp>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Shape {
    int64_t n, c, h, w;
    bool channels_last;

    size_t elements() const { return static_cast<size_t>(n * c * h * w); }
    size_t bytes() const { return elements() * sizeof(float); }
    hnorm::Tensor tensor(void *data) const {
        float *const floats = static_cast<float *>(data);
        return channels_last ? hnorm::channels_last(floats, {n, c, h, w}) : hnorm::channels_first(floats, {n, c, h, w});
    }
    std::string name() const {
        std::string text;
        for (const int64_t extent : {n, c, h, w}) text += (text.empty() ? "" : "x") + std::to_string(extent);
        return text + (channels_last ? " channels-last" : " channels-first");
    }
};

struct Values {
    std::vector<float> x, dy, y, dx;
    std::vector<double> running_mean;
};

// Other numbers for each step.
void draw(Values &values, const Shape &shape, uint32_t step) {
    values.x.resize(shape.elements()), values.dy.resize(shape.elements());
    for (size_t i = 0; i < shape.elements(); i++) {
        values.x[i] = static_cast<float>((i + step) * 2654435761U % 1000) / 100;
        values.dy[i] = static_cast<float>((i + step) * 40503U % 777) / 300 - 1;
    }
}

// A layer on the GPU, the memory of its step, and the step as a graph.
class GraphedStep {
public:
    GraphedStep(const Driver &cuda, Stream stream, const Shape &shape)
        : cuda_(cuda), stream_(stream), shape_(shape), bn_(shape.c, hnorm::Options().relu()) {
        for (void *&memory : memory_) memory = cuda.allocate(shape.bytes());
        bn_.to(hnorm::Device::cuda);
        // The first call compiles kernels and takes working memory, which a capture cannot.
        step();
        cuda.synchronize(stream);
        cuda.begin_capture(stream);
        step();
        graph_ = cuda.end_capture(stream);
        bn_.reset_running_stats();  // the step that ran counts for nothing here
    }
    ~GraphedStep() {
        cuda_.destroy_graph(graph_);
        for (void *memory : memory_) cuda_.free(memory);
    }
    GraphedStep(const GraphedStep &) = delete;
    GraphedStep &operator=(const GraphedStep &) = delete;

    void step() {
        bn_.forward(gpu(memory_[0]), gpu(memory_[2]));
        bn_.backward(gpu(memory_[0]), gpu(memory_[1]), gpu(memory_[3]));
    }
    void replay() { cuda_.launch(graph_, stream_); }

    void replay_on(Values &values) {
        values.y.resize(shape_.elements()), values.dx.resize(shape_.elements());
        values.running_mean.resize(static_cast<size_t>(shape_.c));
        cuda_.copy_in(memory_[0], values.x.data(), shape_.bytes(), stream_);
        cuda_.copy_in(memory_[1], values.dy.data(), shape_.bytes(), stream_);
        replay();
        cuda_.copy_out(values.y.data(), memory_[2], shape_.bytes(), stream_);
        cuda_.copy_out(values.dx.data(), memory_[3], shape_.bytes(), stream_);
        cuda_.copy_out(values.running_mean.data(), bn_.running_mean().data(),
                       values.running_mean.size() * sizeof(double), stream_);
        cuda_.synchronize(stream_);
    }

private:
    hnorm::Tensor gpu(void *data) const { return shape_.tensor(data).on(hnorm::Device::cuda); }

    const Driver &cuda_;
    const Stream stream_;
    const Shape shape_;
    hnorm::BatchNorm2d bn_;
    void *memory_[4];  // x, dy, y, dx
    Graph graph_ = nullptr;
};

template <typename T>
bool same(const std::vector<T> &a, const std::vector<T> &b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Whether three replays, each on other data, have the bits of three steps on the CPU.
bool compare(GraphedStep &graphed, const Shape &shape) {
    hnorm::BatchNorm2d bn(shape.c, hnorm::Options().relu());
    bool all = true;
    for (uint32_t step = 1; step <= 3; step++) {
        Values found, expected;
        draw(found, shape, step);
        expected = found;
        graphed.replay_on(found);
        expected.y.resize(shape.elements()), expected.dx.resize(shape.elements());
        bn.forward(shape.tensor(expected.x.data()), shape.tensor(expected.y.data()));
        bn.backward(shape.tensor(expected.x.data()), shape.tensor(expected.dy.data()),
                    shape.tensor(expected.dx.data()));
        expected.running_mean.assign(bn.running_mean().begin(), bn.running_mean().end());
        all = all && same(found.y, expected.y) && same(found.dx, expected.dx) &&
              same(found.running_mean, expected.running_mean);
    }
    return all;
}

template <typename Work>
double microseconds(const Driver &cuda, Stream stream, const Work &work) {
    constexpr int kTimes = 200;
    for (int i = 0; i < kTimes / 10; i++) work();
    cuda.synchronize(stream);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kTimes; i++) work();
    cuda.synchronize(stream);
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / kTimes;
}

// Whether all replays have the CPU's bits.
bool show() {
    const Driver cuda;
    const Stream stream = cuda.make_stream();
    hnorm::use_cuda(cuda.context(), stream);
    bool all = true;
    for (const bool last : {false, true}) {
        for (const Shape &shape :
             {Shape{8, 64, 8, 8, last}, Shape{32, 256, 14, 14, last}, Shape{32, 64, 56, 56, last}}) {
            GraphedStep graphed(cuda, stream, shape);
            const bool equal = compare(graphed, shape);
            all = all && equal;
            const double by_calls = microseconds(cuda, stream, [&] { graphed.step(); });
            const double replayed = microseconds(cuda, stream, [&] { graphed.replay(); });
            std::printf("%s, forward and backward: replays have %s; %.1f us call by call, %.1f us replayed\n",
                        shape.name().c_str(), equal ? "the CPU's bits" : "OTHER BITS than the CPU's", by_calls,
                        replayed);
            std::fflush(stdout);
        }
    }
    cuda.destroy_stream(stream);
    return all;
}

}  // namespace

int main() {
    try {
        const bool all = show();
        std::puts(all ? "all replays have the CPU's bits" : "NOT all replays have the CPU's bits");
        return all ? 0 : 1;
    } catch (const hnorm::Error &error) {
        std::printf("hnorm: %s: %s\n", hnorm_status_name(error.status()), error.what());
        return 1;
    } catch (const std::runtime_error &error) {
        std::printf("nothing to show: %s\n", error.what());
        return 0;
    }
}
