// A library of some types of elements (-D HNORM_TYPES=f32;bf16). Which types there are is an object
// of its own in the archive. This program has the following one in its place.
#include "api.h"

namespace hnorm::detail {
extern "C" {
extern const bool hnorm_has_type[];
extern const char hnorm_types_in_words[];
const bool hnorm_has_type[] = {true, false, true};
const char hnorm_types_in_words[] = "HNORM_F32 (0) and HNORM_BF16 (2)";
}
}  // namespace hnorm::detail

using namespace api;

TEST_CASE("a type that the library was built without is refused, and nothing is written") {
    Layer layer(3);
    for (const Function &function : computing_functions(layer, 3)) {
        INFO(function.name);
        for (const hnorm_type type : {HNORM_F32, HNORM_F16, HNORM_BF16}) {
            Pair pair({2, 3, 4, 5});  // floats, in whose memory as many elements of 16 bits fit
            pair.in.type = pair.out.type = type;
            Arrays arrays(3);
            const hnorm_status status = function.call(&pair.in, &pair.out, arrays);
            if (type != HNORM_F16) {
                CHECK(status == HNORM_OK);
                continue;
            }
            require_refused(status, HNORM_UNSUPPORTED,
                            {"x.type is 1: this build has HNORM_F32 (0) and HNORM_BF16 (2)"});
            CHECK(all_are(pair.y, kSentinel));
            CHECK(arrays.untouched());
        }
    }

    Pair pair({2, 3, 4, 5});
    Elements dx({2, 3, 4, 5});
    hnorm_tensor to = dx.view();
    pair.in.type = pair.out.type = to.type = HNORM_F16;
    const Arrays arrays(3);
    require_refused(hnorm_backward(&pair.in, &pair.out, HNORM_BATCH, arrays.given_mean.data(),
                                   arrays.given_variance.data(), nullptr, 1e-5, nullptr, &to, nullptr, nullptr),
                    HNORM_UNSUPPORTED, {"x.type is 1"});
    CHECK(all_are(dx, kSentinel));
}
