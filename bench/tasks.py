"""Requests through a load balancer to tasks, each in its own network namespace, beside another build of Neargate: the whole
way of a packet, which `lb` leaves out. `NEARGATE_OTHER=path/to/neargate scripts/bench tasks` measures both in turn.

Runs in a network and mount namespace of its own. Needs root and wrk. See docs/benchmarks.md.
"""

import json
import os
import pathlib
import subprocess
import tempfile

import hostile
import lb
import run as bench

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))


def measure(program, work):
    bench.NEARGATE = program
    with bench.neargate(work / "data") as (port, _, _):
        bench.traffic.push(work / "web-oci", port, "webapp")
        site = hostile.Site(port, bench.free_port())
        url, host = f"http://127.0.0.1:{site.listen}/", ("-H", f"Host: {site.host}")
        site.load()
        result = {}
        for case, close in (("kept", False), ("new", True)):
            found = lb.wrk(url, close, *host)
            result |= {f"{case}_{key}": found[key] for key in ("per_second", "p50_ms", "p99_ms", "errors")}
    subprocess.run(["rm", "-rf", work / "data"], check=True)
    return result


def main():
    hostile.enter_namespaces()
    programs = {"this": bench.NEARGATE}
    if other := os.environ.get("NEARGATE_OTHER"):
        programs["other"] = pathlib.Path(other)
    rounds = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        bench.traffic.build_image(work, bench.XTASK)
        for _ in range(ROUNDS):
            for name, program in programs.items():
                rounds[name].append(measure(program, work))
                print(f"  {name}: {rounds[name][-1]}", flush=True)
    results = {name: lb.median(found) for name, found in rounds.items()}
    for key in ("kept_per_second", "kept_p50_ms", "kept_p99_ms", "new_per_second", "new_p50_ms", "new_p99_ms"):
        values = "  ".join(f"{name} {result[key]:,.2f}" for name, result in results.items())
        ratio = f"  ratio {results['this'][key] / results['other'][key]:.2f}" if "other" in results else ""
        print(f"{key}: {values}{ratio}")
    (ROOT / "target/bench-tasks.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
