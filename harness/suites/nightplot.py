"""The figure of the nights: how long each kernel was tested, by what, and what that excludes."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.plurals import plural
from harness.style import theme
from harness.style.plot import Plot, Tips
from harness.suites.nightstats import UNKNOWN, NightGroup, by_kernel, span

STEP = 0.42  # inches between two kernels
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "--")
"""Of suites, as colours of which there are as many less one."""
ROOM = 0.6  # of the longest bar, for the words at its end


def hours_plot(groups: Sequence[NightGroup]) -> Plot | None:
    """A bar for each kernel, as long as its hours of tests, divided by suites; None for none."""
    kernels = by_kernel(groups)
    suites = sorted({group.suite for group in groups})
    longest = max((one.rate.hours for one in kernels), default=0.0)
    if not longest:
        return None
    tips = Tips()
    with theme.look():
        figure = theme.figure(1.6 + STEP * len(kernels))
        axes = figure.add_subplot()
        for at, kernel in enumerate(kernels):
            end = 0.0
            for place, suite in enumerate(suites):
                hours = _hours(groups, kernel, suite)
                if not hours:
                    continue
                (bar,) = axes.barh(
                    at, hours, left=end, height=0.62, color=theme.style(place).color,
                    hatch=HATCHES[place % len(HATCHES)], edgecolor=theme.PAPER, linewidth=1,
                    label=suite,
                )
                tips.add(bar, f"{suite} on {_name(kernel)}: {span(hours)}")
                end += hours
            axes.annotate(
                _words(kernel), (end, at), fontsize=9.5, xytext=(5, 0),
                textcoords="offset points", va="center",
            )
        axes.set_yticks(range(len(kernels)), [_name(one) for one in kernels])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, longest * (1 + ROOM))
        axes.set_xlabel("hours of the clock")
        bars, names = axes.get_legend_handles_labels()
        of = dict(zip(names, bars, strict=True))  # a bar of each suite
        axes.legend(
            [of[suite] for suite in suites], suites, loc="lower left", bbox_to_anchor=(0, 1),
            ncols=len(suites), frameon=False, fontsize=9.5, borderaxespad=0.2,
        )
        title = "Hours of tests that each kernel went through"
        theme.finish(figure, title, _origin(groups))
    alt = "; ".join(f"{_name(one)}: {one.rate.words()}" for one in kernels)
    return Plot("hours", title, _CAPTION, f"{alt}.", figure, tips=tips)


_CAPTION = (
    "A bar is divided by the suites that the kernel was tested with. Behind it stands the rate "
    "that is excluded."
)


def _hours(groups: Sequence[NightGroup], kernel: NightGroup, suite: str) -> float:
    return sum(
        one.rate.hours for one in groups
        if (one.suite, one.variant, one.base, one.release)
        == (suite, kernel.variant, kernel.base, kernel.release)
    )


def _name(kernel: NightGroup) -> str:
    return f"{kernel.variant} {kernel.release}".rstrip()


def _words(kernel: NightGroup) -> str:
    """``0 failures: less than one in 1.2 h``."""
    rate = kernel.rate
    failures = plural(rate.failures, "failure")
    return f"{failures}: {rate.excluding()}" if rate.hours else failures


def _origin(groups: Sequence[NightGroup]) -> str:
    hosts = sorted({
        "host not recorded" if one.host == UNKNOWN else f"{one.host}, {one.accel}" for one in groups
    })
    nights = sorted({row.night for one in groups for row in one.rows})
    return f"{plural(len(nights), 'night')}, {nights[0]} to {nights[-1]}; {'; '.join(hosts)}"
