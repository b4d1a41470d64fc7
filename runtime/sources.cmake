# The runtime's sources, relative to this folder. runtime/CMakeLists.txt reads this list; nothing
# globs. An object of the archive is one source: what computes has one for each function, so that a
# program links the kernels of those it calls.
set(HNORM_RUNTIME_SOURCES
    src/activation_backward.cpp
    src/backward.cpp
    src/backward_apply.cpp
    src/backward_reduce.cpp
    src/call.cpp
    src/call_log.cpp
    src/call_log_file.cpp
    src/chunk_by_chunk.cpp
    src/coefficients.cpp
    src/context.cpp
    src/cores.cpp
    src/cpu_model.cpp
    src/device.cpp
    src/element_rows.cpp
    src/error.cpp
    src/float_environment.cpp
    src/forward.cpp
    src/given.cpp
    src/gradient_arguments.cpp
    src/gradients.cpp
    src/layer.cpp
    src/layer_backward.cpp
    src/layer_copies.cpp
    src/layer_forward.cpp
    src/layer_record.cpp
    src/layer_update.cpp
    src/load_pack.cpp
    src/load_wisdom.cpp
    src/moments.cpp
    src/normalize.cpp
    src/normalize_backward.cpp
    src/overlap.cpp
    src/pack_file.cpp
    src/past_cache.cpp
    src/pool.cpp
    src/post_ops.cpp
    src/ranks/exchange.cpp
    src/ranks/on_device.cpp
    src/ranks/over_ranks.cpp
    src/ranks/rank_sums.cpp
    src/probe_places.cpp
    src/reduction.cpp
    src/scratch_memory.cpp
    src/statistics.cpp
    src/store_past_cache.cpp
    src/targets.cpp
    src/tensor.cpp
    src/threads.cpp
    src/track.cpp
    src/validate.cpp
    src/view.cpp
    src/wide_gradient.cpp
    src/wisdom.cpp
    src/wisdom_choice.cpp
    src/wisdom_file.cpp
    src/witness.cpp
)
# The headers of C that declare the library's functions; gpu.h and state.h are those of other
# libraries.
set(HNORM_C_HEADERS comm.h context.h functions.h layer.h settings.h status.h tensor.h wisdom.h)
