"""How verdicts are reached, said once: pages print it, docs/verdicts.md is made from it."""

from __future__ import annotations

from harness.report.analysis import stats, verdict

METHOD: tuple[tuple[str, str], ...] = (
    (
        "Unit",
        "The boot, not the repeat, is the unit: repeats inside one boot share its memory layout "
        "and so its bias (Kalibera and Jones, Rigorous benchmarking in reasonable time, ISMM "
        "2013). Each point is the median of one boot's repeats, and no outlier is dropped.",
    ),
    (
        "Wall clock",
        "The effect is the ratio of the medians over boots. The interval is a 95 % percentile "
        f"bootstrap from {verdict.LEAST_FOR_BOOTSTRAP} boots of each variant on, boots of either "
        f"side resampled {stats.RESAMPLES:,} times with a fixed seed (Efron and Tibshirani, An "
        "introduction to the bootstrap, 1993); below that the smallest and the largest ratio of "
        "two boots stand in its place. The test is the exact two-sided one of Mann and Whitney "
        "(1947), with mid-ranks where values are equal, corrected for the number of cells after "
        "Holm (1979).",
    ),
    (
        "Several hosts",
        "Where the hosts of a fleet measured, the host is a block: each value is seen relative "
        "to the middle of both variants on its own host, and the effect and the interval are of "
        "those values. The test adds up the rank sums within hosts (van Elteren 1960, exact), "
        "or, with several layouts of a kernel, within each layout of each host; of one host it "
        "is that of Mann and Whitney. Boots of hosts that measured one variant only are left "
        "out of it.",
    ),
    (
        "Verdict of a test",
        f"'lower' and 'higher' need a corrected p of at most {stats.ALPHA} and an interval without "
        "0. 'same within X %' needs as many boots as the test would need to decide, and the whole "
        f"interval within {verdict.SAME_MARGIN_PCT:.0f} %. Everything else is 'cannot tell', with "
        "the number of boots of each variant that would do (80 % power, normal approximation).",
    ),
    (
        "Exact quantities",
        "What a workload declares to be exact (page tables of one process, say) comes out the same "
        "in every boot of one kernel but for a declared slack: a difference is one when the ranges "
        "of both sides lie further apart than that. Of any other quantity with a declared slack "
        "(resident memory is counted in batches), values that all lie within it are the same.",
    ),
    (
        "Counted instructions",
        "A count repeats exactly for an identical history only: what the guest did earlier moves "
        f"it by up to {verdict.HISTORY_PCT} %. So boots are paired by the seed of their history, "
        f"and the change is the median of the pairs' changes. With {verdict.LEAST_HISTORIES} pairs "
        "and more it is a difference when all pairs have its sign and it exceeds the distance "
        "between the least and the greatest of them; 'same within X %' when the pairs' signs "
        "differ and none exceeds 5 %; else the pairs do not agree, and more of them need not help. "
        f"With fewer pairs a difference must exceed {verdict.HISTORY_PCT} %. One boot is done "
        "again: a pair that differs by less than the two do has no sign. Instructions are counted, "
        "not cache misses or contended atomics.",
    ),
    (
        "A/A control",
        "Where time is measured, the first variant is booted once more, between the others: what "
        "it differs from itself by is what this host makes of no change at all.",
    ),
    (
        "Layouts",
        "With `--layouts` the layout is a block: boots are compared with boots of the same layout "
        "only. The effect is the median over layouts; in time its interval goes from one layout's "
        "effect to another's, by ranks that cover the median with 95 % where there are six layouts "
        "or more, else from the least to the greatest (of three layouts 75 %; David and Nagaraja, "
        "Order statistics, 2003), and the test adds up the rank sums within layouts (van Elteren "
        "1960, exact). Layout's share of the variance is the intraclass correlation ICC(1) of the "
        "changes of pairs of boots: one-way random effects, components by the analysis of variance "
        "(Searle, Casella and McCulloch, Variance components, 1992). A count must not depend on "
        "the layout, and the report says whether it does.",
    ),
    (
        "Runs over time",
        "In a trend the run is the unit: each has its own day and host load. In counts and exact "
        "quantities a step is a difference between neighbouring runs, as between two variants of "
        "one run. In wall-clock metrics it is a change point of the runs' medians: binary "
        "segmentation with a permutation test on ranks, as in E-divisive (Matteson and James "
        "2014; for benchmarks Daly et al., ICPE 2020), which takes eight runs at least.",
    ),
)
