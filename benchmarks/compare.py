"""genmod beside other libraries, row by row: both sides run by turns, and their medians are compared.

Run by compare.sh, which builds the programs first. See README.md.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
HERE = ROOT / "benchmarks"
PROGRAMS = ROOT / "build" / "bench" / "benchmarks"
THREADS = 2

PRODUCTS = ["Eigen plain", "OpenBLAS plain", "oneDNN plain", "PyTorch eager"]
PICTURES = ["PyTorch eager", "PyTorch channels_last", "PyTorch channels_last+compile"]
BF16 = ["PyTorch bf16", "PyTorch channels_last+bf16", "PyTorch channels_last+compile+bf16"]
CONVOLUTION = r"\d+x\d+x\d+x\d+_\d+(_k\d+)?(_s\d+)?"
# Of each family of rows: what the sizes look like, and who does the same work.
FAMILIES = {
    "product": (r"\d+x\d+x\d+", PRODUCTS),
    "linear": (r"\d+x\d+x\d+", [*PRODUCTS, "PyTorch compile"]),
    "packed": (r"\d+x\d+x\d+", ["oneDNN float", "PyTorch compile"]),
    "bf16_packed": (r"\d+x\d+x\d+", ["oneDNN bf16", "PyTorch bf16", "PyTorch compile+bf16"]),
    "bf16_rounded": (r"\d+x\d+x\d+", ["oneDNN bf16", "PyTorch bf16", "PyTorch compile+bf16"]),
    "bf16_pairs": (r"\d+x\d+x\d+", []),
    "conv": (CONVOLUTION, ["oneDNN float", "oneDNN winograd", *PICTURES]),
    "packed_conv": (CONVOLUTION, ["oneDNN float", "oneDNN winograd", PICTURES[2]]),
    "bf16_packed_conv": (CONVOLUTION, ["oneDNN bf16", *BF16[1:]]),
    "bf16_rounded_conv": (CONVOLUTION, ["oneDNN bf16", *BF16[1:]]),
    "kept_conv": (CONVOLUTION, ["oneDNN float", "oneDNN winograd", PICTURES[2]]),
    "convinput": (CONVOLUTION, ["oneDNN float", *PICTURES[:2]]),
    "convweight": (CONVOLUTION, ["oneDNN float", *PICTURES[:2]]),
    "attention": (r"\d+x\d+x\d+x\d+", ["PyTorch eager"]),
    "unet_train": (r"\d+", PICTURES),
    "unet_forward": (r"\d+", PICTURES),
    "unet_ddim": (r"\d+", PICTURES),
    "sampler": (r".+", ["PyTorch eager", "PyTorch channels_last"]),
    "vae_train": (r"\d+", PICTURES),
    "vae_decode": (r"\d+", PICTURES),
    "realnvp_train": (r"\d+", ["PyTorch eager", "PyTorch compile"]),
    "realnvp_sample": (r"\d+", ["PyTorch eager", "PyTorch compile"]),
    "glow_train": (r"\d+", PICTURES),
    "glow_sample": (r"\d+", PICTURES),
    "gan_train": (r"\d+", PICTURES[:2]),
    "wgan_train": (r"\d+", PICTURES[:2]),
    "gan_draw": (r"\d+", PICTURES),
    "sd_unet": (r"\d+", PICTURES),
    "sd_vae": (r"\d+", PICTURES),
    "bf16_sd_unet": (r"\d+", BF16),
    "bf16_sd_vae": (r"\d+", BF16),
    "clip_text": (r"\d+", ["PyTorch eager", "PyTorch compile"]),
    "bf16_clip_text": (r"\d+", ["PyTorch bf16", "PyTorch compile+bf16"]),
}
# Rows that are compared with one thread of genmod's own as well.
SCALING = re.compile(r"product_2048x.*|conv_1x64x64x512_512|attention_1x4096x8x40|unet_(train|forward)_64|sd_unet_64")
# Rows of a quick comparison.
QUICK = re.compile(
    r"product_(256x256x256|1024x1024x1024|2048x2048x2048|4096x320x2880|256x1280x11520|64x1280x1280)"
    r"|conv_1x(64x64x320_320|32x32x640_640|64x64x512_512|256x256x256_256|512x512x128_128|16x16x1280_1280|8x8x1280_1280)"
    r"|conv_64x(28x28x32_32|14x14x64_64|7x7x128_128)|attention_1x(4096|1024)x8x40|unet_(train|forward|ddim)_64"
    r"|vae_train_128|vae_decode_1000|realnvp_(train_512|sample_100000)|sampler_(ddim|euler_a|dpm\+\+2m)"
    r"|packed_256x1280x11520|packed_conv_1x(32x32x640_640|8x8x1280_1280)|bf16_packed_(2048x2048x2048|256x1280x11520)|(bf16_)?(sd_(unet|vae)_64|clip_text_1)")


def family_of(row):
    """The family of a row's name, or None."""
    return next((f for f, (sizes, _) in FAMILIES.items() if re.fullmatch(f"{f}_{sizes}", row)), None)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"compare.sh: {message}", file=sys.stderr)
        sys.exit(2)


def options():
    parser = Parser(prog="sh benchmarks/compare.sh", allow_abbrev=False,
                    description="Compares genmod with PyTorch, Eigen, OpenBLAS and oneDNN.")
    parser.add_argument("--only", metavar="NAME,...", help="rows or families of rows: sd_unet,conv_1x64x64x320_320")
    parser.add_argument("--peers", metavar="NAME,...", help="only peers whose names have one of these in them: "
                                                            "oneDNN,eager")
    parser.add_argument("--quick", action="store_true", help="fewer rows, shorter runs, five alternations")
    parser.add_argument("--json", metavar="FILE", help="writes the figures")
    parser.add_argument("--markdown", metavar="FILE", help="writes the table")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.names = chosen.only.split(",") if chosen.only is not None else []
    for name in chosen.names:
        if family_of(name) is None and not any((f + "_").startswith(name + "_") for f in FAMILIES):
            parser.error(f"there is no row or family \"{name}\"; families are {', '.join(FAMILIES)}")
    for file in (chosen.json, chosen.markdown):
        if file is not None and (not file or not pathlib.Path(file).resolve().parent.is_dir()
                                 or pathlib.Path(file).is_dir()):
            parser.error(f"cannot write \"{file}\"")
    return chosen


def rows_of(chosen):
    known = subprocess.run([PROGRAMS / "bench", "--list"], check=True, capture_output=True, text=True).stdout.split()
    if not chosen.names:
        return [row for row in known if QUICK.fullmatch(row) or not chosen.quick]
    rows = []
    for name in chosen.names:
        rows += [name] if family_of(name) else [row for row in known if row.startswith(name + "_")]
        if name.startswith("sampler_") and name not in known:
            print(f"compare.sh: there is no row \"{name}\"", file=sys.stderr)
            sys.exit(2)
    return list(dict.fromkeys(rows))


class NoWorker(Exception):
    """A program that could not do a row, with the reason."""


def cpu():
    """What the system says of the processor."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return file.read()


def has_bf16():
    """Whether the processor has instructions for it: emulated, it is no comparison."""
    return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", cpu()) is not None


class Worker:
    """A program that does one row whenever it is asked to (see serve.hpp)."""

    def __init__(self, command, threads=THREADS):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_PROC_BIND": "true", "OMP_PLACES": "cores",
                       "OPENBLAS_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads),
                       "TORCHINDUCTOR_CACHE_DIR": str(ROOT / "build" / "bench" / "inductor")}
        if not pathlib.Path(command[0]).exists():
            raise NoWorker("not installed")
        with open(ROOT / "build" / "bench" / "worker.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=log, text=True)
        try:
            self.about = self.answer()
        except BaseException:
            self.close()
            raise

    def answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries print remarks of their own
                return json.loads(line)
        code = self.process.wait()
        with open(ROOT / "build" / "bench" / "worker.log", encoding="utf-8", errors="replace") as log:
            said = log.read().strip().splitlines()
        raise NoWorker(f"exit code {code}{': ' + said[-1][:200] if said else ''}")

    def ask(self, question):
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self.answer()

    def peak(self):
        return self.ask("peak")["gflops"]

    def close(self):
        try:
            self.process.stdin.close()
            self.process.wait(timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def command_of(row, peer):
    library, _, variant = peer.partition(" ")
    # Peers know what they do by their variants.
    plain = re.sub("^(bf16_)?(packed|rounded)_(?!conv)", "linear_", row)
    plain = re.sub("^(bf16_)?(packed_|rounded_|kept_)?", "", plain)
    if library == "genmod":
        return [PROGRAMS / "bench", "--serve", row]
    if library == "PyTorch":
        return [os.environ.get("GENMOD_PEERS_PYTHON", ""), HERE / "peers" / "torch_peer.py", plain, variant]
    return [PROGRAMS / f"{library.lower()}_peer", plain, variant]


class Turns:
    """Both sides of a row by turns, with the machine's peak between any two runs."""

    def __init__(self, ours, peer, quick):
        self.ours, self.rounds = ours, 5 if quick else 9
        self.budget, self.spare, self.unsteady = 0.1 if quick else 0.3, 2 * self.rounds, 0
        self.peaks, self.seconds, self.rss = [ours.peak()], ([], []), [0, 0]
        for _ in range(self.rounds):
            for side, worker in enumerate((ours, peer)):
                if worker is not None:
                    self.run(side, worker)

    def run(self, side, worker):
        """One run; again, as long as there is patience, when the peaks before and after it differ by over 5 %."""
        while True:
            said = worker.ask(f"run {self.budget}")
            self.peaks.append(self.ours.peak())
            before, after = self.peaks[-2:]
            if abs(after - before) <= 0.05 * max(before, after):
                break
            if self.spare == 0:
                self.unsteady += 1
                break
            self.spare -= 1
        self.seconds[side].append(said["seconds"])
        self.rss[side] = max(self.rss[side], said["rss_mib"])


def result_of(row, peer, turns, gflop):
    ours = statistics.median(turns.seconds[0])
    theirs = statistics.median(turns.seconds[1]) if peer else None
    result = {"row": row, "ours_s": ours, "peer": peer, "peer_s": theirs, "ratio": theirs / ours if peer else None,
              "ours_rss_mib": turns.rss[0], "peer_rss_mib": turns.rss[1] if peer else None,
              "peak_gflops": max(turns.peaks), "unsteady_runs": turns.unsteady}
    if gflop > 0:
        result["share_of_peak"] = gflop / ours / max(turns.peaks)
        if peer:
            result["peer_share_of_peak"] = gflop / theirs / max(turns.peaks)
    return result


def is_equal(result):
    """Whether the peer is another library: it works in genmod's precision."""
    return result["peer"] is not None and not result["peer"].startswith("genmod")


class Comparison:
    def __init__(self, chosen):
        self.chosen, self.results, self.left_out, self.versions, self.failed = chosen, [], {}, {}, []

    def compare(self, row):
        peers = list(FAMILIES[family_of(row)][1]) + (["genmod 1 thread"] if SCALING.fullmatch(row) else [])
        if self.chosen.peers:
            peers = [peer for peer in peers if any(part in peer for part in self.chosen.peers.split(","))]
        try:
            ours = Worker(command_of(row, "genmod"))
        except NoWorker as error:
            self.failed.append(f"{row}: {error}")
            return
        try:
            done = [self.beside(row, ours, peer) for peer in peers]
            if not any(done):
                self.keep(result_of(row, None, Turns(ours, None, self.chosen.quick), ours.about["gflop"]))
        except NoWorker as error:
            self.failed.append(f"{row}: {error}")
        finally:
            ours.close()

    def beside(self, row, ours, name):
        """The row with one peer; False when that peer has none."""
        try:
            if "bf16" in name and not has_bf16():
                raise NoWorker("the processor has no instructions for bf16")
            peer = Worker(command_of(row, name), 1 if name == "genmod 1 thread" else THREADS)
        except NoWorker as error:
            self.left_out.setdefault((name, str(error)), []).append(row)
            return False
        try:
            turns = Turns(ours, peer, self.chosen.quick)
        except (NoWorker, BrokenPipeError) as error:
            if ours.process.poll() is not None:
                raise NoWorker("genmod's program ended") from error
            self.left_out.setdefault((name, str(error)), []).append(row)
            return False
        finally:
            peer.close()
        if "version" in peer.about:
            self.versions[peer.about["version"]] = True
        self.keep(result_of(row, name.removesuffix(" plain"), turns, ours.about["gflop"]))
        return True

    def keep(self, result):
        self.results.append(result)
        self.write()
        text = f"{result['row']}: genmod {seconds_text(result['ours_s'])}"
        if result["peer"]:
            text += f"; {result['peer']} {seconds_text(result['peer_s'])}, ratio {result['ratio']:.2f}"
        print(text, file=sys.stderr, flush=True)

    def write(self):
        if self.chosen.json:
            write_file(self.chosen.json, json.dumps(self.results, indent=1) + "\n")
        if self.chosen.markdown:
            write_file(self.chosen.markdown, self.markdown())

    def markdown(self):
        best = {}
        for r in filter(is_equal, self.results):
            best[r["row"]] = min(r["peer_s"], best.get(r["row"], r["peer_s"]))
        lines = [machine(self.results, self.versions) + " The fastest peer is in bold.", "",
                 "| row | genmod | of the peak | peer | time | genmod is faster by | MiB | peer's MiB |",
                 "|---|---|---|---|---|---|---|---|"]
        for r in self.results:
            share = f"{100 * r['share_of_peak']:.0f} %" if "share_of_peak" in r else ""
            name = f"**{r['peer']}**" if is_equal(r) and r["peer_s"] == best[r["row"]] else r["peer"]
            theirs = [name, seconds_text(r["peer_s"]), f"{r['ratio']:.2f}"] if r["peer"] else ["none", "", ""]
            memory = [f"{r['ours_rss_mib']:.0f}", f"{r['peer_rss_mib']:.0f}" if r["peer"] else ""]
            mark = " (peak unsteady)" if r["unsteady_runs"] else ""
            cells = [r["row"] + mark, seconds_text(r["ours_s"]), share, *theirs, *memory]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n" + self.remarks()

    def remarks(self):
        behind = [f"{r['row']} ({r['peer']}, {r['ratio']:.2f})" for r in self.results
                  if is_equal(r) and r["ratio"] < 1]
        lines = ["", "Behind a peer: " + (", ".join(behind) or "nowhere") + "."]
        for (name, reason), rows in self.left_out.items():
            lines.append(f"Left out: {name} ({', '.join(rows)}): {reason}.")
        lines += [f"Failed: {text}." for text in self.failed]
        return "\n".join(lines) + "\n"


def write_file(name, text):
    part = pathlib.Path(name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(name)


def seconds_text(value):
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} us"


def machine(results, versions):
    def said(command):
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        return run.stdout.strip()

    info = cpu()
    model = (re.search(r"model name\s*: (.*)", info) or ["", platform.machine()])[1]
    numbers = [(re.search(rf"{key}\s*: (\d+)", info) or ["", "?"])[1] for key in ("cpu family", "model")]
    flags = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd") if re.search(rf"\b{f}\b", info)]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    peaks = [r["peak_gflops"] for r in results] or [0]
    today = datetime.datetime.now(datetime.timezone.utc)
    return (f"{today:%Y-%m-%d}, commit {said(['git', 'rev-parse', '--short', 'HEAD'])}: {model} "
            f"(family {numbers[0]}, model {numbers[1]}; {', '.join(flags)}), {os.cpu_count()} processors, "
            f"{memory:.0f} GiB, Linux {platform.release()}; {THREADS} pinned threads; fp32 peak of multiply-adds "
            f"{min(peaks):.0f} to {max(peaks):.0f} GFLOP/s; {said(['g++', '--version']).splitlines()[0]}; "
            f"{', '.join(versions) or 'no peer'}. Medians; one time of one run of the work.")


def main():
    chosen = options()
    if chosen.check:
        return 0
    rows, comparison = rows_of(chosen), Comparison(chosen)
    try:
        for row in rows:
            comparison.compare(row)
    except KeyboardInterrupt:
        print("compare.sh: interrupted", file=sys.stderr)
        return 130
    finally:
        comparison.write()
        print(comparison.markdown(), end="")
    return 1 if comparison.failed else 0


if __name__ == "__main__":
    sys.exit(main())
