// Contexts: settings of a thread's or a layer's calls, which change no bit and leave all others
// alone.
#include "failing_memory.h"
#include "machine.h"
#include "problems.h"
#include "random_calls.h"

#include <hnorm/hnorm.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>

using namespace api;

namespace {

// An allocator that keeps account.
struct Account {
    std::atomic<long> allocations{0}, live{0};
    bool empty = false, throws = false;

    hnorm_allocator allocator() {
        return hnorm_allocator_of(
            [](void *argument, size_t bytes) -> void * {
                Account &account = *static_cast<Account *>(argument);
                if (account.throws) throw std::runtime_error("no memory");
                if (account.empty) return nullptr;
                ++account.allocations, ++account.live;
                return std::malloc(bytes);
            },
            [](void *argument, void *memory) {
                REQUIRE(memory != nullptr);
                --static_cast<Account *>(argument)->live;
                std::free(memory);
            },
            this);
    }
};

// A loop of the caller's that counts how often it is asked.
struct CountingLoop {
    std::atomic<long> asked{0};
    static void run(void *pool, int count, hnorm_task task, void *argument) {
        ++static_cast<CountingLoop *>(pool)->asked;
        for (int i = count; i-- > 0;) task(argument, i);
    }
};

// Large enough for threads and working memory.
std::unique_ptr<test::Calls> large_calls(hnorm_group group = HNORM_BATCH) {
    return std::make_unique<test::Calls>(std::vector<int64_t>{4, 300, 17, 19}, group);
}

hnorm_status call_all(test::Calls &calls, std::vector<std::vector<char>> *written) {
    for (int function = 0; function < test::Calls::kFunctions; function++) {
        const hnorm_status status = calls.call(function);
        if (status != HNORM_OK) return status;
        written->push_back(calls.written());
    }
    return HNORM_OK;
}

}  // namespace

TEST_CASE("contexts of several threads at once give the same bits, and each sees its own tasks and memory") {
    const auto calls = large_calls();
    std::vector<std::vector<char>> expected;
    REQUIRE(call_all(*calls, &expected) == HNORM_OK);
    const std::vector<std::string> &targets = test::usable_targets();

    struct Component {
        hnorm::Context context;
        Account account;
        CountingLoop loop;
        bool right = false;
    };
    constexpr int kComponents = 6;
    std::vector<std::unique_ptr<Component>> components;
    for (int i = 0; i < kComponents; i++) {
        Component &c = *components.emplace_back(std::make_unique<Component>());
        c.context.set_num_threads(1 + i);
        c.context.set_target(targets[static_cast<size_t>(i) % targets.size()]);
        if (i % 2 == 0) c.context.set_allocator(c.account.allocator());
        if (i % 3 == 1) c.context.set_parallel_for(CountingLoop::run, &c.loop);
    }
    std::vector<std::thread> threads;
    for (const auto &component : components) {
        threads.emplace_back([&expected, &c = *component] {
            const hnorm::UseContext use(c.context);
            c.right = true;
            for (int round = 0; round < 5; round++) {
                const auto own = large_calls();
                std::vector<std::vector<char>> written;
                c.right = c.right && call_all(*own, &written) == HNORM_OK && written == expected;
            }
        });
    }
    for (std::thread &thread : threads) thread.join();
    for (int i = 0; i < kComponents; i++) {
        const Component &c = *components[static_cast<size_t>(i)];
        INFO("component " << i);
        REQUIRE(c.right);
        REQUIRE((c.account.allocations > 0) == (i % 2 == 0));
        REQUIRE(c.account.live == 0);
        REQUIRE((c.loop.asked > 0) == (i % 3 == 1));
    }
}

TEST_CASE("all working memory comes from the allocator of the context") {
#if !defined(HNORM_FAILING_MEMORY)
    WARN("SKIPPED: the allocator is a sanitizer's");
#else
    for (const problems::Given &given : problems::kGiven) {
        test::current_format().channels_last = given.last != 0;
        const auto calls = std::make_unique<test::Calls>(given.shape, given.group);
        for (int threads : {1, 3}) {
            hnorm::Context context;
            Account account;
            context.set_num_threads(threads);
            context.set_allocator(account.allocator());
            const hnorm::UseContext use(context);
            for (int function = 0; function < test::Calls::kFunctions; function++) {
                INFO(test::Calls::name(function) << ", " << threads << " threads");
                REQUIRE(calls->call(function) == HNORM_OK);  // starts threads, whose memory is the C library's
                const std::vector<char> expected = calls->written();
                const long before = account.allocations;
                const hnorm_status first = calls->call(function);
                const long allocations = account.allocations - before;
                // The C library's memory has run out but for so much as the allocator itself takes
                // of it.
                failing::all_after = true;
                failing::failures = 0;
                failing::left_to_go = allocations;
                const hnorm_status status = calls->call(function);
                failing::left_to_go = -1;
                REQUIRE(first == HNORM_OK);
                REQUIRE(status == HNORM_OK);
                REQUIRE(failing::failures == 0);
                REQUIRE(account.live == 0);
                REQUIRE(calls->written() == expected);

                if (allocations > 0) {
                    for (bool throws : {false, true}) {
                        account.throws = throws;
                        account.empty = !throws;
                        REQUIRE(calls->call(function) == HNORM_OUT_OF_MEMORY);
                        account.throws = account.empty = false;
                    }
                    REQUIRE(account.live == 0);
                }
            }
        }
    }
#endif
}

TEST_CASE("a context is of one thread or layer, and nothing else changes it") {
    hnorm::Context a, b;
    const std::string best = hnorm_target(), worst = test::usable_targets().back();
    const int usual = hnorm_get_num_threads();
    a.set_num_threads(5);
    a.set_target(worst);
    REQUIRE(a.num_threads() == 5);
    REQUIRE(a.target() == worst);
    REQUIRE(b.num_threads() == usual);
    REQUIRE(b.target() == best);
    REQUIRE(hnorm_get_num_threads() == usual);
    REQUIRE(hnorm_target() == best);
    REQUIRE(hnorm_context_get_num_threads(nullptr) == usual);
    REQUIRE(hnorm_context_get_target(nullptr) == best);
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    REQUIRE(hnorm_set_target(worst.c_str()) == HNORM_OK);
    REQUIRE(b.num_threads() == usual);
    REQUIRE(b.target() == best);
    REQUIRE(hnorm_context_set_num_threads(nullptr, 0) == HNORM_OK);
    REQUIRE(hnorm_context_set_target(nullptr, nullptr) == HNORM_OK);
    REQUIRE(hnorm_get_num_threads() == usual);
    REQUIRE(hnorm_target() == best);
    a.set_num_threads(0);
    a.set_target("");
    REQUIRE(a.num_threads() == usual);
    REQUIRE(a.target() == best);

    REQUIRE(hnorm_use_context(a.c()) == nullptr);
    std::thread([&] { REQUIRE(hnorm_use_context(nullptr) == nullptr); }).join();
    {
        const hnorm::UseContext use(b);
        const hnorm::UseContext again(a);
    }
    REQUIRE(hnorm_use_context(nullptr) == a.c());
}

TEST_CASE("a layer's context is stronger than its thread's, and the thread's is back after the call") {
    CountingLoop of_layer, of_thread;
    hnorm::Context a, b;
    for (hnorm::Context *context : {&a, &b}) context->set_num_threads(2);
    a.set_parallel_for(CountingLoop::run, &of_layer);
    b.set_parallel_for(CountingLoop::run, &of_thread);
    Pair pair({8, 16, 64, 65}), gradient({8, 16, 64, 65}, 2);
    const hnorm::Tensor x(pair.in), y(pair.out), dy(gradient.in), dx(gradient.out);
    hnorm::BatchNorm layer(16);
    const hnorm::UseContext use(b);

    layer.forward(x, y);
    REQUIRE((of_thread.asked > 0 && of_layer.asked == 0));
    of_thread.asked = 0;
    layer.set_context(&a);
    layer.forward(x, y);
    layer.backward(x, dy, dx);
    REQUIRE((of_thread.asked == 0 && of_layer.asked > 0));
    of_layer.asked = 0;
    REQUIRE_THROWS_AS(layer.forward(x, hnorm::Tensor(gradient.in).with_strides(1, 1)), hnorm::Error);
    hnorm::forward(x, hnorm::Group::batch, {}, 1e-5, y);
    REQUIRE((of_thread.asked > 0 && of_layer.asked == 0));
    of_thread.asked = 0;
    layer.set_context(nullptr);
    layer.backward(x, dy, dx);
    REQUIRE((of_thread.asked > 0 && of_layer.asked == 0));
}

TEST_CASE("mistakes with contexts are refused and change nothing") {
    hnorm::Context context;
    const std::string target = context.target();
    const int threads = context.num_threads();
    for (int wrong : {-1, 257}) {
        require_refused(hnorm_context_set_num_threads(context.c(), wrong), HNORM_INVALID_ARGUMENT,
                        {"hnorm_context_set_num_threads: threads is " + std::to_string(wrong), "1 to 256"});
    }
    require_refused(hnorm_context_set_target(context.c(), "x86"), HNORM_INVALID_ARGUMENT,
                    {"hnorm_context_set_target: target \"x86\" is unknown", target});
    require_refused(hnorm_context_create(nullptr), HNORM_INVALID_ARGUMENT, {"hnorm_context_create: context is null"});
    require_refused(hnorm_layer_set_context(nullptr, context.c()), HNORM_INVALID_ARGUMENT,
                    {"hnorm_layer_set_context: layer is null"});
    Account account;
    hnorm_allocator half = account.allocator();
    half.deallocate = nullptr;
    require_refused(hnorm_context_set_allocator(context.c(), &half), HNORM_INVALID_ARGUMENT,
                    {"hnorm_context_set_allocator: allocator.deallocate is null", "both"});
    half = account.allocator();
    half.allocate = nullptr;
    require_refused(hnorm_context_set_allocator(context.c(), &half), HNORM_INVALID_ARGUMENT,
                    {"allocator.allocate is null"});
    REQUIRE(context.target() == target);
    REQUIRE(context.num_threads() == threads);
    const hnorm::UseContext use(context);
    REQUIRE(large_calls()->call(0) == HNORM_OK);
    REQUIRE(account.allocations == 0);
    hnorm_context_destroy(nullptr);
}
