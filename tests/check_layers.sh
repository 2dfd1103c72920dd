#!/usr/bin/env bash
# Fails on an include that goes left in server -> engine -> scheduler -> kvcache -> kernels -> configs,
# and on a library header outside the files it is confined to.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(find configs kernels kvcache scheduler engine server -name '*.[ch]' | sort)

awk '
BEGIN {
    split("configs kernels kvcache scheduler engine server", order, " ")
    for (i in order) rank[order[i]] = i
    # What the server may see of the engine; the engine keeps the rest to itself.
    split("engine/engine.h engine/generate.h engine/loading.h engine/reply.h engine/stats.h engine/log.h " \
          "engine/clock.h engine/sampling_defaults.h engine/inspect.h engine/quantize.h engine/tokenizer/tokenizer.h", faces, " ")
    for (i in faces) face[faces[i]] = 1
    # library header -> pattern of the files that may include it
    only["microhttpd.h"] = "^server/http"
    only["jansson.h"] = "^(server/|configs/config\\.c|engine/formats/)"
    only["xxhash.h"] = "^kvcache/prefix_index\\.c|^engine/(tokenizer|formats)/"
    only["liburing.h"] = "^engine/loader\\.c"
    only["cblas.h"] = "^kernels/cpu/gemm\\.c"
    only["systemd/sd-daemon.h"] = "^server/service\\.c"
    only["immintrin.h"] = "_(avx2|avx512|avx512vnni)\\.[ch]$"
}
function complain(why) { printf "%s:%d: %s: %s\n", FILENAME, FNR, why, $0; bad = 1 }
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\"")
    target = quoted[2]
    split(FILENAME, from, "/")
    split(target, to, "/")
    if (!(to[1] in rank)) { complain("include by path from the root"); next }
    if (rank[to[1]] > rank[from[1]]) complain("wrong direction")
    if (from[1] == "server" && to[1] != "server" && to[1] != "configs" && !(target in face))
        complain("not for the server")
    if (from[1] == "scheduler" && to[1] == "kernels") complain("the scheduler knows no device")
    if (from[1] == "kvcache" && to[1] == "kernels" && FILENAME !~ /^kvcache\/kv_store\./)
        complain("only kv_store knows the device")
}
/^[ \t]*#[ \t]*include[ \t]*</ {
    match($0, /<[^>]*>/)
    header = substr($0, RSTART + 1, RLENGTH - 2)
    if (header in only && FILENAME !~ only[header]) complain("library header out of place")
}
END { exit bad }
' "${files[@]}"
echo "layers: ${#files[@]} files, every include goes the right way"
