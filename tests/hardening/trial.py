"""What every trial shares: a row of docs/hardening.md, the run of its attack beside 50 players, and
the bounds by which it is judged. That page says what each bound is ("Trials").
"""

import asyncio
import contextlib
import inspect
import os
import platform
import re
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from beside import Beside
from server import Server, difference, quantile

ATTACK_NICE = 15
GAP_P99_MAX_MS = 60
RSS_GROWTH_MAX_KIB = 8 << 10
SECOND_GROWTH_MAX_KIB = 1 << 10
KERNEL_GROWTH_MAX = 4 << 20
BACK_MAX_S = 5
WARNINGS_A_PEER_MAX = 5
BOUNDS = ["lives", "players", "memory", "back", "counters", "others", "log", "row"]
# Ends that say nothing bad about a peer.
PLAIN_ENDS = ["http_done", "hung_up", "client_closed", "http_idle"]


@dataclass
class Row:
    """An attack. It is made again for `seconds`, of a short and of a full run, twice. `flags`
    of the server may depend on the trial. `counters` are the reasons that are counted for it, and
    no others. `without` are the bounds that do not apply, and why. With `timed` the attack is as
    important as the players on a machine that others use: its own times are judged. `prepare` is
    called before the first round, and `within(trial)` precedes the command of the server. A row
    with `alone` runs servers of its own.
    """

    number: str
    title: str
    attack: object
    seconds: tuple = (3, 8)
    flags: object = ()
    counters: tuple = ()
    without: dict = field(default_factory=dict)
    prepare: object = None
    within: object = None
    alone: bool = False
    timed: bool = False
    back_s: float = BACK_MAX_S


ROWS = {}


def row(number, title, **options):
    """Makes a row of a function that attacks."""

    def register(attack):
        ROWS[number] = Row(number, title, attack, **options)
        return attack

    return register


@dataclass
class Result:
    """What came out of a row: for each bound whether it was kept or None, and the figures."""

    row: Row
    bounds: dict = field(default_factory=lambda: dict.fromkeys(BOUNDS))
    problems: list = field(default_factory=list)
    figures: dict = field(default_factory=dict)

    def demand(self, bound, holds, problem):
        """Judges a bound; all that is demanded of it must hold."""
        self.bounds[bound] = self.bounds[bound] is not False and bool(holds)
        if not holds:
            self.problems.append(f"{bound}: {problem}")

    def is_kept(self):
        return False not in self.bounds.values()

    def not_judged(self):
        """The bounds that do not apply, with the reasons that the row gives."""
        reasons = self.row.without
        bounds = [one for one in BOUNDS if one in reasons or self.bounds[one] is None]
        return "; ".join(f"{one}: {reasons[one]}" if one in reasons else one for one in bounds)


class Trial:
    """A run of one row."""

    def __init__(self, of, is_full, is_shared=False):
        self.row, self.result = of, Result(of)
        self.is_full, self.is_shared = is_full, is_shared
        self.seconds = of.seconds[is_full]
        self.server = self.beside = None
        # What is undone when the server has ended.
        self.afterwards = contextlib.ExitStack()
        # Processors that the players beside take of the server.
        self.players_load = 0.0
        # The addresses of the attack, for the bound of the log.
        self.peers = 1
        self.temporary = tempfile.TemporaryDirectory(prefix="skirmish-trial-")
        self.folder = Path(self.temporary.name)

    @property
    def port(self):
        return self.server.port

    def demand(self, holds, problem):
        self.result.demand("row", holds, problem)

    def note(self, name, value):
        self.result.figures[name] = value

    async def run(self):
        if self.row.alone:
            await self.row.attack(self)
            return self.result
        log = self.folder / "log"
        with self.afterwards, open(log, "w") as stream:
            within = self.row.within(self) if self.row.within else ()
            flags = self.row.flags(self) if callable(self.row.flags) else self.row.flags
            with self.running(*flags, log=stream, within=within):
                await self.rounds()
        self.judge_log(log.read_text())
        return self.result

    def processor_mark(self):
        return time.monotonic(), self.server.processor_s()[0]

    def processor_since(self, mark):
        """Seconds for which the server ran since a mark, less those for the players beside."""
        began, ran = mark
        took = time.monotonic() - began
        return self.server.processor_s()[0] - ran - took * self.players_load

    @contextlib.contextmanager
    def running(self, *flags, **options):
        """Runs a server and the players beside."""
        with contextlib.ExitStack() as stack:
            with self.before_others():
                server = Server("--limit-loopback", *flags, **options)
                self.server = stack.enter_context(server)
                self.beside = stack.enter_context(contextlib.closing(Beside(self.port)))
            self.beside.wait_until_joined()
            self.set_priority()
            yield

    def set_priority(self):
        """The attack stands for other machines: it must not take the processors from the players,
        nor other programs from the attack.
        """
        os.setpriority(os.PRIO_PROCESS, 0, -ATTACK_NICE if self.is_shared else ATTACK_NICE)

    @contextlib.contextmanager
    def before_others(self):
        """On a machine that others use, what is started meanwhile runs before their programs."""
        if self.is_shared:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        try:
            yield
        finally:
            if self.is_shared:
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    def judge_end(self):
        """Judges whether the server lives, for a row that starts it by itself."""
        panics = self.server.metrics()["skirmish_panics_total"]
        self.result.demand("lives", self.server.is_alive() and not panics, f"{panics} panics")

    async def rounds(self):
        if self.row.prepare:
            await self.row.prepare(self)
        mark = self.processor_mark()
        await asyncio.sleep(2)
        self.players_load = self.processor_since(mark) / 2
        start = {"metrics": self.server.metrics(), "kernel": self.server.kernel_bytes()}
        start["gauges"], start["rss"] = self.server.gauges(), self.server.rss_kib()
        start["processor"] = self.server.processor_s()
        self.beside.report()
        peaks = {"rss": 0, "kernel": 0}
        rss_after = []
        for _ in range(2):
            watch = asyncio.create_task(self.watch(peaks))
            try:
                with self.before_others() if self.row.timed else contextlib.nullcontext():
                    await self.attack_for(self.seconds)
            finally:
                watch.cancel()
            await self.judge_back(start["gauges"])
            rss_after.append(self.server.rss_kib())
        self.judge_players(self.beside.report())
        self.judge_memory(start, peaks, rss_after)
        self.judge_metrics(start["metrics"], start["processor"])

    async def attack_for(self, seconds):
        until = time.monotonic() + seconds
        await self.row.attack(self)
        while time.monotonic() < until and self.result.is_kept():
            # More would be above the rate at which all addresses may join.
            await asyncio.sleep(0.1)
            await self.row.attack(self)

    async def watch(self, peaks):
        while True:
            if self.server.is_alive():
                peaks["rss"] = max(peaks["rss"], self.server.rss_kib())
                kernel = await asyncio.to_thread(self.server.kernel_bytes)
                peaks["kernel"] = max(peaks["kernel"], kernel)
            await asyncio.sleep(0.5)

    async def judge_back(self, gauges):
        """Waits until the gauges are where they were."""
        began = time.monotonic()
        while True:
            now = await asyncio.to_thread(self.server.gauges)
            more = {name: now[name] - value for name, value in gauges.items() if now[name] > value}
            took = time.monotonic() - began
            if not more or took > self.row.back_s:
                break
            await asyncio.sleep(0.1)
        if "back" not in self.row.without:
            self.result.demand("back", not more, f"after {took:.0f} s still {more} more")

    def judge_players(self, report):
        figures = self.result.figures
        figures["gap p99 ms"], figures["max"] = report["gap_p99_ms"], report["gap_max_ms"]
        figures["over 100 ms"] = f"{report['gaps_over_100_ms']} of {report['gaps']}"
        figures["ticks left out"] = report["ticks_left_out_at_once"]
        figures["lost"] = report["lost"]
        sleeper = report["sleeper"]
        figures["sleeper p99/max ms"] = f"{sleeper['p99_ms']}/{sleeper['max_ms']}"
        self.result.demand("players", not report["lost"], f"lost: {report['ends']}")
        if "players" in self.row.without:
            return
        p99, over = report["gap_p99_ms"], report["gaps_over_100_ms"]
        self.result.demand("players", p99 <= GAP_P99_MAX_MS, f"gap p99 {p99} ms")
        self.result.demand("players", over * 10_000 <= report["gaps"], f"{over} gaps over 100 ms")

    def judge_memory(self, start, peaks, rss_after):
        growth = peaks["rss"] - start["rss"]
        second = rss_after[1] - rss_after[0]
        kernel = peaks["kernel"] - start["kernel"]
        self.note("RSS MiB", f"{growth / 1024:+.1f}")
        self.note("2nd round", f"{second / 1024:+.1f}")
        self.note("kernel MiB", f"{kernel / (1 << 20):+.1f}")
        if "memory" in self.row.without:
            return
        demand = self.result.demand
        demand("memory", growth <= RSS_GROWTH_MAX_KIB, f"{growth} KiB more")
        demand("memory", second < SECOND_GROWTH_MAX_KIB, f"{second} KiB more in round 2")
        demand("memory", kernel <= KERNEL_GROWTH_MAX, f"{kernel} bytes more in the kernel")

    def judge_metrics(self, before, processor):
        after = self.server.metrics()
        more = difference(after, before)
        panics = more["skirmish_panics_total"]
        self.result.demand("lives", self.server.is_alive() and not panics, f"{panics} panics")
        ran, waited = self.server.processor_s()
        self.note("CPU s", round(ran - processor[0], 2))
        self.note("waited for CPU s", round(waited - processor[1], 2))
        late = [quantile(more, "skirmish_tick_lateness_seconds", share) for share in (0.99, 1)]
        self.note("tick late p99/max ms", f"{late[0]:g}/{late[1]:g}")
        self.note("ticks missed", int(more["skirmish_ticks_missed_total"]))
        counted = {}
        for series, value in more.items():
            reason = re.search(r'_(closes|refusals|drops)_total\{reason="(.+)"\}', series)
            if reason and value and reason[2] not in PLAIN_ENDS:
                counted[reason[2]] = int(value)
        self.note("counted", ", ".join(f"{name} {count}" for name, count in counted.items()) or "-")
        missing = set(self.row.counters) - set(counted)
        other = set(counted) - set(self.row.counters)
        # If no other may be counted, it is clear that none is named.
        if self.row.counters or "others" not in self.row.without:
            self.result.demand("counters", not missing, f"not counted: {missing}")
        if "others" not in self.row.without:
            self.result.demand("others", not other, f"counted, too: {other}")

    def judge_log(self, text):
        lines = [line for line in text.splitlines() if re.search(r"\b(WARN|ERROR)\b", line)]
        self.note("warnings", len(lines))
        allowed = WARNINGS_A_PEER_MAX * self.peers
        self.result.demand("log", len(lines) <= allowed, f"{len(lines)} warnings")


async def run_row(of, is_full, is_shared):
    """Runs a row; a mistake of the trial itself counts as a failed row."""
    trial = Trial(of, is_full, is_shared)
    try:
        with trial.temporary:
            return await trial.run()
    except Exception as error:
        place = inspect.trace()[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        trial.result.demand("row", False, f"{type(error).__name__}: {error} ({where})")
        return trial.result


def machine():
    """One line about where and when."""
    model = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return (
        f"{when}, {os.cpu_count()} processors ({model}), Linux {platform.release()}, "
        f"load average {load:.1f}"
    )


def mark(kept):
    return {True: "yes", False: "**no**", None: "-"}[kept]


def as_text(result):
    marks = " ".join(f"{bound} {mark(result.bounds[bound]).strip('*')};" for bound in BOUNDS)
    figures = ", ".join(f"{name} {value}" for name, value in result.figures.items())
    problems = "".join(f"\n    ! {problem}" for problem in result.problems)
    return f"{result.row.number} {result.row.title}\n    {marks}\n    {figures}{problems}"


# Figures that have a column of their own.
COLUMNS = [
    "gap p99 ms", "max", "over 100 ms", "sleeper p99/max ms", "tick late p99/max ms", "RSS MiB",
    "2nd round", "kernel MiB",
]


def as_markdown(results):
    """A table for docs/hardening.md, where only the rows of the faults begin with a number."""
    head = ["kept", "row", "attack", *COLUMNS, "not judged", "more"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for result in sorted(results, key=lambda result: result.row.number):
        figures = dict(result.figures)
        cells = [str(figures.pop(column, "")) for column in COLUMNS]
        # Of the players it says more than the gaps if some were lost, and of ticks if some were.
        for name in ["ticks left out", "lost", "warnings", "waited for CPU s", "ticks missed"]:
            if not figures.get(name):
                figures.pop(name, None)
        more = "; ".join(f"{name} {value}" for name, value in figures.items())
        problems = "".join(f" **{problem}.**" for problem in result.problems)
        kept = mark(result.is_kept())
        first = [kept, result.row.number, result.row.title]
        cells = [*first, *cells, result.not_judged(), more + problems]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
