"""The background of the muc-real sample: constants of `BibModel`, fitted, with their provenance.

Fitted by maximum likelihood to the truth columns of the 19 379 electrons and positrons of simB
train (1923 particle groups) by `benchmarks/fit_kinematics.py`, which repeats every number. No
validation or test row and no row of simA took part. The sample itself comes from FLUKA decay
products of 5 TeV beams at the first barrel layer (r = 30 mm, 3.57 T).

Two origins come with the bunch, at -|z|/c or +|z|/c after the crossing and up to a few tenths of a
nanosecond later: they are steep along the beam and fill the readout's time window. "peak" is the
maximum near 1.2 ns after the crossing, "slanted" comes earlier the larger |z|, "flat" and "late"
are the broad rest. The last four are shapes, not processes that could be told apart.
"""

from __future__ import annotations

from pixelsieve.simulation.bib import BibModel, Origin
from pixelsieve.simulation.burr import Burr

SAMPLE_BIB = BibModel(
    origins=(
        Origin(
            name="incoming beam",
            log_share=(-0.865, -0.1126, 0.0332),
            drift=-1.0,
            delay_ns=Burr(scale=0.1317, rise=3.409, tail=1.041),
            delay_trend=(0.2938, 0.0867),
            cot_theta=Burr(scale=2.122, rise=1.594, tail=3.734),
            cot_theta_trend=-0.7052,
            tan_psi=Burr(scale=0.9681, rise=1.108, tail=2.281),
            inverse_pt=Burr(scale=63.05, rise=6.69, tail=0.1244),
            rank_correlations=(-0.365, 0.16, -0.097, -0.081, 0.167, -0.432),
        ),
        Origin(
            name="outgoing beam",
            log_share=(-1.3207, -0.0663, -0.0138),
            drift=1.0,
            delay_ns=Burr(scale=0.1131, rise=4.569, tail=0.8754),
            delay_trend=(0.0014, -0.1825),
            cot_theta=Burr(scale=5.556, rise=1.902, tail=5.573),
            cot_theta_trend=0.1609,
            tan_psi=Burr(scale=0.5229, rise=1.263, tail=1.765),
            inverse_pt=Burr(scale=59.08, rise=5.115, tail=0.2049),
            rank_correlations=(-0.562, 0.133, -0.245, -0.178, 0.301, -0.335),
        ),
        Origin(
            name="peak",
            log_share=(1.0124, 0.1959, -0.0366),
            drift=0.0,
            delay_ns=Burr(scale=1.301, rise=8.944, tail=0.3506),
            delay_trend=(-0.2225, -0.0953),
            cot_theta=Burr(scale=3.251, rise=1.041, tail=6.869),
            cot_theta_trend=0.0554,
            tan_psi=Burr(scale=1.913, rise=1.085, tail=3.296),
            inverse_pt=Burr(scale=82.39, rise=5.998, tail=0.2252),
            rank_correlations=(-0.217, -0.121, 0.088, 0.302, -0.249, -0.221),
        ),
        Origin(
            name="slanted",
            log_share=(-0.0615, -0.0707, -0.1169),
            drift=0.0,
            delay_ns=Burr(scale=1.269, rise=6.304, tail=1.662),
            delay_trend=(-0.8419, -0.2491),
            cot_theta=Burr(scale=0.9729, rise=1.655, tail=4.708),
            cot_theta_trend=-0.3937,
            tan_psi=Burr(scale=2.352, rise=1.091, tail=9.551),
            inverse_pt=Burr(scale=82.47, rise=6.048, tail=0.3087),
            rank_correlations=(-0.426, 0.114, 0.043, -0.003, -0.128, -0.186),
        ),
        Origin(
            name="late",
            log_share=(0.9241, 0.176, 0.4996),
            drift=0.0,
            delay_ns=Burr(scale=3.84, rise=1.594, tail=3.039),
            delay_trend=(-0.5392, 0.1685),
            cot_theta=Burr(scale=1.324, rise=1.073, tail=4.011),
            cot_theta_trend=-0.2541,
            tan_psi=Burr(scale=1.031, rise=1.155, tail=2.274),
            inverse_pt=Burr(scale=75.9, rise=6.136, tail=0.2396),
            rank_correlations=(0.003, 0.001, 0.125, 0.318, -0.154, -0.25),
        ),
        Origin(
            name="flat",
            log_share=(0.3108, -0.1222, -0.3655),
            drift=0.0,
            delay_ns=Burr(scale=2.382, rise=1.445, tail=3.232),
            delay_trend=(0.3502, 0.26),
            cot_theta=Burr(scale=1.118, rise=2.274, tail=4.293),
            cot_theta_trend=-0.0043,
            tan_psi=Burr(scale=2.445, rise=1.232, tail=8.574),
            inverse_pt=Burr(scale=81.17, rise=6.025, tail=0.2771),
            rank_correlations=(-0.489, 0.179, -0.168, 0.128, -0.126, -0.181),
        ),
    ),
    earliest_ns=-0.06,
    latest_ns=21.0,
    z_rise=0.5225,
    z_power=4.069,
    y_tilt=-0.08303,
    bend=0.4862,
    bend_width=0.8185,
    positron_share=0.2913,
    same_sign_share=0.5446,
    steepest_slope=10.0,
    softest_pt_gev=2e-5,
)
"""Background of the muc-real sample."""
