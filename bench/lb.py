"""Requests through `neargate lb`, nginx and HAProxy on the same machine with the same targets: round after round, each of
them in turn, and of all rounds the median.

Everything (load generator, load balancer, targets) shares the machine's cores: read the ratios and the CPU per request,
not the requests per second. Needs wrk, nginx, haproxy and openssl. See docs/benchmarks.md.
"""

import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
NEARGATE = ROOT / "target/release/neargate"
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))
# A machine is faster in one minute than in the next: who is measured in turn has his share of both.
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
CONNECTIONS = 64
NOFILE = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
# As many as HAProxy takes, which counts two descriptors for each.
IDLE = min(10_000, NOFILE // 2 - 1_000)
TARGETS = 2
RULES = 100
WORKERS = os.cpu_count()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_open(port):
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise SystemExit(f"nothing listens on port {port}")


def family(pid):
    """A process and its children, which live as long as it does here."""
    found = [pid]
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += family(int(child))
    return found


def cpu_seconds(pid):
    ticks = 0
    for member in family(pid):
        fields = pathlib.Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_kib(pid):
    total = 0
    for member in family(pid):
        text = pathlib.Path(f"/proc/{member}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
    return total


def start(arguments, **more):
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (NOFILE, NOFILE))
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limit, **more)


def nginx(directory, name, http):
    config = directory / f"{name}.conf"
    config.write_text(
        f"""daemon off; worker_processes {WORKERS}; worker_rlimit_nofile {NOFILE}; pid {directory}/{name}.pid;
error_log {directory}/{name}.log crit;
events {{ worker_connections 32768; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600;
  client_body_temp_path {directory}/{name}-a; proxy_temp_path {directory}/{name}-b; fastcgi_temp_path {directory}/{name}-c;
  uwsgi_temp_path {directory}/{name}-d; scgi_temp_path {directory}/{name}-e;
{http} }}
"""
    )
    return start(["nginx", "-e", f"{directory}/{name}.log", "-c", str(config)])


def targets(directory):
    ports = [free_port() for _ in range(TARGETS)]
    body = "x" * 1024
    servers = "".join(f'server {{ listen 127.0.0.1:{p}; location / {{ return 200 "{body}"; }} }}\n' for p in ports)
    process = nginx(directory, "targets", servers)
    for port in ports:
        wait_open(port)
    return process, ports


def start_neargate(directory, ports, tls, rules):
    port = free_port()
    addresses = [f"127.0.0.1:{p}" for p in ports]
    listener = {"address": "127.0.0.1", "port": port, "targets": addresses, "idle_timeout_secs": 600}
    if tls:
        listener |= {"protocol": "HTTPS", "certificate": str(directory / "cert.pem"), "private_key": str(directory / "key.pem")}
    if rules:
        listener["rules"] = [{"path": f"/r{n}/*", "targets": addresses} for n in range(RULES)]
    config = directory / "neargate.json"
    config.write_text(json.dumps({"listeners": [listener]}))
    data = directory / f"data-{port}"
    return start([NEARGATE, "lb", "--data-dir", data, "--config", config]), port


def start_nginx(directory, ports, tls, rules):
    port = free_port()
    upstream = "".join(f"server 127.0.0.1:{p};" for p in ports)
    listen = f"listen 127.0.0.1:{port}" + (" ssl" if tls else "")
    keys = f"ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem;" if tls else ""
    proxy = """proxy_pass http://targets; proxy_http_version 1.1; proxy_set_header Connection "";
proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Port $server_port;
proxy_set_header X-Amzn-Trace-Id $request_id;"""
    paths = [f"/r{n}/" for n in range(RULES)] if rules else []
    locations = "".join(f"location {path} {{ {proxy} }}\n" for path in [*paths, "/"])
    http = f"upstream targets {{ {upstream} keepalive 256; keepalive_requests 100000000; }}\nserver {{ {listen}; {keys} {locations} }}"
    return nginx(directory, f"nginx-{port}", http), port


def start_haproxy(directory, ports, tls, rules):
    port = free_port()
    servers = "\n".join(f"  server s{n} 127.0.0.1:{p}" for n, p in enumerate(ports))
    secure = f" ssl crt {directory}/both.pem" if tls else ""
    use = "\n".join(f"  use_backend r{n} if {{ path_beg /r{n}/ }}" for n in range(RULES)) if rules else ""
    backend = f"  http-reuse always\n{servers}\n"
    backends = "".join(f"backend r{n}\n{backend}" for n in range(RULES)) if rules else ""
    config = directory / f"haproxy-{port}.cfg"
    config.write_text(
        f"""global
  nbthread {WORKERS}
  maxconn {(NOFILE - 500) // 2}
defaults
  mode http
  timeout connect 10s
  timeout client 600s
  timeout server 60s
  timeout http-keep-alive 600s
frontend front
  bind 127.0.0.1:{port}{secure}
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Port {port}
  http-request set-header X-Amzn-Trace-Id %[uuid()]
{use}
  default_backend plain
backend plain
{backend}{backends}"""
    )
    return start(["haproxy", "-db", "-f", str(config)]), port


PROXIES = {"neargate": start_neargate, "nginx": start_nginx, "haproxy": start_haproxy}


@contextlib.contextmanager
def running(process):
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL if process.args[0] == "haproxy" else signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(8)
        process.kill()
        process.wait()


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def wrk(url, close, *more):
    arguments = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", "--latency", *more, url]
    if close:
        arguments += ["-H", "Connection: close"]
    text = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    find = lambda pattern: re.search(pattern, text, re.MULTILINE)
    errors = find(r"Socket errors: (.*)")
    bad = find(r"Non-2xx or 3xx responses: (\d+)")
    return {
        "requests": int(find(r"(\d+) requests in").group(1)),
        "per_second": float(find(r"Requests/sec:\s+([\d.]+)").group(1)),
        "p50_ms": milliseconds(find(r"^ +50% +(\S+)").group(1)),
        "p99_ms": milliseconds(find(r"^ +99% +(\S+)").group(1)),
        "errors": (errors.group(1) if errors else "") + (f" {bad.group(1)} bad" if bad else ""),
    }


def load(name, directory, ports, case):
    process, port = PROXIES[name](directory, ports, case == "tls", case == "rules")
    with running(process):
        wait_open(port)
        time.sleep(0.3)
        scheme = "https" if case == "tls" else "http"
        path = f"/r{RULES - 1}/x" if case == "rules" else "/"
        url = f"{scheme}://127.0.0.1:{port}{path}"
        before = cpu_seconds(process.pid)
        result = wrk(url, case == "close")
        result["cpu_us"] = (cpu_seconds(process.pid) - before) * 1e6 / result["requests"]
        return result


def idle(name, directory, ports):
    """Memory of a connection that has carried one request and waits for the next."""
    process, port = PROXIES[name](directory, ports, False, False)
    with running(process):
        wait_open(port)
        open_clients(port, 200)[0].close()
        time.sleep(0.5)
        before = memory_kib(process.pid)
        clients = open_clients(port, IDLE)
        time.sleep(0.5)
        per_connection = (memory_kib(process.pid) - before) * 1024 / IDLE
        for client in clients:
            client.close()
        return {"bytes_per_idle_connection": round(per_connection)}


def open_clients(port, count):
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        left = 1
        received = b""
        while b"\r\n\r\n" not in received or left > 0:
            received += client.recv(65536)
            head, _, body = received.partition(b"\r\n\r\n")
            left = 1024 - len(body)
        clients.append(client)
    return clients


def median(rounds):
    """Of each number; of texts all that differ."""
    result = {}
    for key, value in rounds[0].items():
        values = [measured[key] for measured in rounds]
        result[key] = ", ".join(sorted({*values} - {""})) if isinstance(value, str) else statistics.median(values)
    return result


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (NOFILE, NOFILE))
    names = sys.argv[1].split(",") if len(sys.argv) > 1 else list(PROXIES)
    cases = sys.argv[2].split(",") if len(sys.argv) > 2 else ["keep-alive", "close", "tls", "rules", "idle"]
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        subprocess.run(
            f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench "
            f"-keyout {directory}/key.pem -out {directory}/cert.pem && cat {directory}/cert.pem {directory}/key.pem > {directory}/both.pem",
            shell=True, check=True, capture_output=True,
        )
        process, ports = targets(directory)
        with running(process):
            for case in cases:
                rounds = {name: [] for name in names}
                for _ in range(1 if case == "idle" else ROUNDS):
                    for name in names:
                        rounds[name].append(idle(name, directory, ports) if case == "idle" else load(name, directory, ports, case))
                for name in names:
                    result = median(rounds[name])
                    results.setdefault(case, {})[name] = result
                    text = "  ".join(f"{key} {value:,.1f}" if isinstance(value, float) else f"{key} {value}" for key, value in result.items())
                    print(f"{case:10} {name:9} {text}", flush=True)
    if len(sys.argv) < 2:
        (ROOT / "target/bench-lb.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
