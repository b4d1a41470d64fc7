// oneDNN's batch normalization for bench/peers.py: a primitive is made once, then timed over many
// executions.
#include <dnnl.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using namespace dnnl;
using Tag = memory::format_tag;

struct Problem {
    engine cpu{engine::kind::cpu, 0};
    stream on_cpu{cpu};
    std::vector<float> gamma, beta, dgamma, dbeta, mean, variance;
    primitive work;
    std::unordered_map<int, memory> arguments;
};

std::unique_ptr<Problem> problem;
std::string reason;

Tag tag_of(int rank, const std::string &layout) {
    const std::vector<Tag> first = {Tag::ab, Tag::abc, Tag::abcd, Tag::abcde};
    const std::vector<Tag> last = {Tag::ab, Tag::acb, Tag::acdb, Tag::acdeb};
    const std::vector<Tag> by_16 = {Tag::undef, Tag::aBc16b, Tag::aBcd16b, Tag::aBcde16b};
    const std::vector<Tag> by_8 = {Tag::undef, Tag::aBc8b, Tag::aBcd8b, Tag::aBcde8b};
    return (layout == "first" ? first : layout == "last" ? last : layout == "by_16" ? by_16 : by_8).at(rank - 2);
}

// The caller's memory where the layout is plain, else memory of oneDNN's with the same values.
memory tensor(Problem &p, const memory::desc &wanted, const memory::desc &plain, void *data) {
    if (wanted == plain) return {plain, p.cpu, data};
    memory given(plain, p.cpu, data), made(wanted, p.cpu);
    reorder(given, made).execute(p.on_cpu, given, made);
    p.on_cpu.wait();
    return made;
}

void make(const std::string &op, const std::string &layout, memory::data_type type, const memory::dims &shape, void *x,
          void *y, void *dy) {
    auto p = std::make_unique<Problem>();
    const int rank = static_cast<int>(shape.size());
    const memory::desc wanted(shape, type, tag_of(rank, layout));
    const memory::desc plain(shape, type, tag_of(rank, layout == "last" ? "last" : "first"));
    const memory::dim channels = shape[1];
    const memory::desc values({channels}, memory::data_type::f32, Tag::a);
    for (auto *array : {&p->gamma, &p->beta, &p->dgamma, &p->dbeta, &p->mean}) array->assign(channels, 0.5f);
    p->variance.assign(channels, 1.25f);
    const auto array = [&](std::vector<float> &v) { return memory(values, p->cpu, v.data()); };
    const auto scaled = normalization_flags::use_scale | normalization_flags::use_shift;
    const float eps = 1e-5f;
    p->arguments = {{DNNL_ARG_SRC, tensor(*p, wanted, plain, x)},
                    {DNNL_ARG_SCALE, array(p->gamma)},
                    {DNNL_ARG_SHIFT, array(p->beta)},
                    {DNNL_ARG_MEAN, array(p->mean)},
                    {DNNL_ARG_VARIANCE, array(p->variance)}};
    using forward = batch_normalization_forward;
    const forward::primitive_desc training(p->cpu, prop_kind::forward_training, wanted, wanted, eps, scaled);
    if (op == "forward") {
        p->work = forward(training);
        p->arguments[DNNL_ARG_DST] = tensor(*p, wanted, plain, y);
    } else if (op == "normalize") {
        p->work = forward(forward::primitive_desc(p->cpu, prop_kind::forward_inference, wanted, wanted, eps,
                                                  scaled | normalization_flags::use_global_stats));
        p->arguments[DNNL_ARG_DST] = tensor(*p, wanted, plain, y);
    } else {
        p->work = batch_normalization_backward(batch_normalization_backward::primitive_desc(
            p->cpu, prop_kind::backward, wanted, wanted, wanted, eps, scaled, training));
        p->arguments.erase(DNNL_ARG_SHIFT);
        p->arguments[DNNL_ARG_DIFF_DST] = tensor(*p, wanted, plain, dy);
        p->arguments[DNNL_ARG_DIFF_SRC] = tensor(*p, wanted, plain, y);
        p->arguments[DNNL_ARG_DIFF_SCALE] = array(p->dgamma);
        p->arguments[DNNL_ARG_DIFF_SHIFT] = array(p->dbeta);
    }
    problem = std::move(p);
}

std::vector<std::unique_ptr<Problem>> problems;

}  // namespace

extern "C" {

const char *onednn_error() { return reason.c_str(); }
const char *onednn_version() {
    static std::string text;
    const version_t *v = dnnl_version();
    text = std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
    return text.c_str();
}

// A number to time by; -1: oneDNN does not compute this, onednn_error() says why.
int onednn_open(const char *op, const char *layout, const char *type, int rank, const int64_t *shape, void *x, void *y,
                void *dy) {
    try {
        const std::string name = type;
        make(op, layout,
             name == "f32"   ? memory::data_type::f32
             : name == "f16" ? memory::data_type::f16
                             : memory::data_type::bf16,
             memory::dims(shape, shape + rank), x, y, dy);
        problems.push_back(std::move(problem));
        return static_cast<int>(problems.size()) - 1;
    } catch (const std::exception &failure) {
        reason = failure.what();
        return -1;
    }
}

void onednn_close() { problems.clear(); }

// Seconds of a call, over so many; below 0: it failed.
double onednn_time(int number, int times) {
    try {
        Problem &p = *problems[number];
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < times; i++) p.work.execute(p.on_cpu, p.arguments);
        p.on_cpu.wait();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / times;
    } catch (const std::exception &failure) {
        reason = failure.what();
        return -1;
    }
}

}  // extern "C"
