from __future__ import annotations

from pathlib import Path

import pytest

from pixelsieve.core.errors import DataError, RunError
from pixelsieve.hardware.vendor_reports import VendorReport, read_report, vendor_reports

CSYNTH_XML = """<?xml version="1.0" encoding="UTF-8"?>
<profile>
  <section name="General Information" level="0"/>
  <ReportVersion><Version>2023.2</Version></ReportVersion>
  <UserAssignments>
    <unit>ns</unit>
    <ProductFamily>virtexuplus</ProductFamily>
    <Part>xcvu13p-flga2577-2-e</Part>
    <TopModelName>filter</TopModelName>
    <TargetClockPeriod>5.00</TargetClockPeriod>
    <ClockUncertainty>1.35</ClockUncertainty>
  </UserAssignments>
  <PerformanceEstimates>
    <PipelineType>yes</PipelineType>
    <SummaryOfTimingAnalysis>
      <unit>ns</unit>
      <EstimatedClockPeriod>4.363</EstimatedClockPeriod>
    </SummaryOfTimingAnalysis>
    <SummaryOfOverallLatency>
      <unit>clock cycles</unit>
      <Best-caseLatency>16</Best-caseLatency>
      <Average-caseLatency>16</Average-caseLatency>
      <Worst-caseLatency>18</Worst-caseLatency>
      <Interval-min>1</Interval-min>
      <Interval-max>2</Interval-max>
    </SummaryOfOverallLatency>
  </PerformanceEstimates>
  <AreaEstimates>
    <Resources>
      <BRAM_18K>3</BRAM_18K><DSP>220</DSP><FF>463</FF><LUT>5885</LUT><URAM>0</URAM>
    </Resources>
    <AvailableResources>
      <BRAM_18K>5376</BRAM_18K><DSP>12288</DSP><FF>3456000</FF><LUT>1728000</LUT><URAM>1280</URAM>
    </AvailableResources>
  </AreaEstimates>
</profile>
"""

OLD_LATENCY = """
+ Latency (clock cycles):
    * Summary:
    +-----+-----+-----+-----+----------+
    |  Latency  |  Interval | Pipeline |
    | min | max | min | max |   Type   |
    +-----+-----+-----+-----+----------+
    |   16|   18|    1|    2| function |
    +-----+-----+-----+-----+----------+
"""

CSYNTH_SUMMARY = """

================================================================
== Synthesis Summary Report of 'filter'
================================================================
+ General Information:
    * Date:           Mon Jan  5 10:00:00 2026
    * Version:        2023.2 (Build 4023990 on Oct 11 2023)
    * Project:        filter_prj
    * Target device:  xcvu13p-flga2577-2-e


+ Performance & Resource Estimates:

    PS: '+' for module; 'o' for loop; '*' for dataflow
    +-----------+------+------+---------+--------+----------+---------+------+----------+--------+----------+-----------+-----------+-----+
    |  Modules  | Issue|      | Latency | Latency| Iteration|         | Trip |          |        |          |           |           |     |
    |  & Loops  | Type | Slack| (cycles)|  (ns)  |  Latency | Interval| Count| Pipelined|  BRAM  |    DSP   |     FF    |    LUT    | URAM|
    +-----------+------+------+---------+--------+----------+---------+------+----------+--------+----------+-----------+-----------+-----+
    |+ filter*  |     -|  0.10|       18|  90.000|         -|        2|     -|  dataflow|  3 (~0%)|  220 (1%)|  463 (~0%)|  5885 (~0%)|    -|
    | + dense   |     -|  0.20|        7|  35.000|         -|        1|     -|       yes|       -|  100 (1%)|  111 (~0%)|   777 (~0%)|    -|
    +-----------+------+------+---------+--------+----------+---------+------+----------+--------+----------+-----------+-----------+-----+


================================================================
== HW Interfaces
================================================================
"""  # noqa: E501

COSIMULATION = """Report time       : Mon Jan  5 10:40:00 CET 2026.
Solution          : solution1.
Simulation tool   : xsim.

+----------+----------+-----------------------+-----------------------+----------------------+
|          |          | Latency(Clock Cycles) | Interval(Clock Cycles)| Total Execution Time |
+   RTL    +  Status  +-----------------------+-----------------------+    (Clock Cycles)    +
|          |          |  min  |  avg  |  max  |  min  |  avg  |  max  |                      |
+----------+----------+-----------------------+-----------------------+----------------------+
|      VHDL|        NA|     NA|     NA|     NA|     NA|     NA|     NA|                    NA|
|   Verilog|      Pass|     15|     16|     17|      1|      1|      2|                  1016|
+----------+----------+-----------------------+-----------------------+----------------------+
"""

CATAPULT_HEAD = """-- Catapult Ultra Synthesis: Report
-- ------------------------- ---------------------------------------------------
-- Version:                  2024.2/1130128 Production Release
-- Build Date:               Mon Jan  5 09:00:00 CET 2026

Solution Settings: nnet::filter.v3
  Current state: {state}
  Project: Catapult

Processes/Blocks in Design
  Process             Real Operation(s) count Latency Throughput Reset Length II Comments
  ------------------- ----------------------- ------- ---------- ------------ -- --------
  /filter/dense<4,8>/core                  24       1          3            0  0
  Design Total:                          1970      25          3            1  0

"""

CATAPULT_CYCLE = CATAPULT_HEAD.format(state="schedule") + """Clock Information
  Clock Signal Edge   Period Sharing Alloc (%) Uncertainty Used by Processes/Blocks
  ------------ ------ ------ ----------------- ----------- ------------------------
  clk          rising 10.000             20.00    0.000000 /filter/dense<4,8>/core

"""  # fmt: skip

CATAPULT_RTL = CATAPULT_HEAD.format(state="extract") + """Area Scores
                    Post-Scheduling   Post-DP & FSM Post-Assignment
  ----------------- --------------- --------------- ---------------
  Total Area Score:   5602.8         5886.5          5862.2
  Total Reg:           102.5   (2%)   154.4   (3%)    154.4   (3%)

Timing Report
  Critical Path
    Max Delay:  9.358097999999998
    Slack:      0.6419020000000017

    Path     Startpoint            Endpoint              Delay  Slack
    -------- --------------------- --------------------- ------ ------
    1        filter:core/reg(a)    filter:core/reg(b)    9.3581 0.6419

"""  # fmt: skip

CSYNTH_RPT = """

================================================================
== Vitis HLS Report for 'filter'
================================================================
* Date:           Mon Jan  5 10:00:00 2026

* Version:        2023.2 (Build 4023990 on Oct 11 2023)
* Project:        filter_prj
* Solution:       solution1 (Vivado IP Flow Target)
* Product family: virtexuplus
* Target device:  xcvu13p-flga2577-2-e


================================================================
== Performance Estimates
================================================================
+ Timing:
    * Summary:
    +--------+---------+----------+------------+
    |  Clock |  Target | Estimated| Uncertainty|
    +--------+---------+----------+------------+
    |ap_clk  |  5.00 ns|  4.363 ns|     1.35 ns|
    +--------+---------+----------+------------+

+ Latency:
    * Summary:
    +---------+---------+-----------+-----------+-----+-----+----------+
    |  Latency (cycles) |  Latency (absolute)   |  Interval | Pipeline |
    |   min   |   max   |    min    |    max    | min | max |   Type   |
    +---------+---------+-----------+-----------+-----+-----+----------+
    |       16|       18|  80.000 ns|  90.000 ns|    1|    2|  function|
    +---------+---------+-----------+-----------+-----+-----+----------+

    + Detail:
        * Instance:
        +-------------------+----------------+---------+---------+
        |                   |                |  Latency (cycles) |
        |      Instance     |     Module     |   min   |   max   |
        +-------------------+----------------+---------+---------+
        |dense_U0           |dense           |        7|        7|
        +-------------------+----------------+---------+---------+

        * Loop:
        N/A



================================================================
== Utilization Estimates
================================================================
* Summary:
+---------------------+---------+-------+---------+---------+------+
|         Name        | BRAM_18K|  DSP  |    FF   |   LUT   | URAM |
+---------------------+---------+-------+---------+---------+------+
|DSP                  |        -|      -|        -|        -|     -|
|Expression           |        -|      -|        0|       44|     -|
|Register             |        -|      -|      463|        -|     -|
+---------------------+---------+-------+---------+---------+------+
|Total                |        3|    220|      463|     5885|     0|
+---------------------+---------+-------+---------+---------+------+
|Available SLR        |     1344|   3072|   864000|   432000|   320|
+---------------------+---------+-------+---------+---------+------+
|Utilization SLR (%)  |       ~0|      7|       ~0|        1|     0|
+---------------------+---------+-------+---------+---------+------+
|Available            |     5376|  12288|  3456000|  1728000|  1280|
+---------------------+---------+-------+---------+---------+------+
"""

HEADING = """Copyright 1986-2023 Xilinx, Inc. All Rights Reserved.
------------------------------------------------------------------
| Tool Version : Vivado v.2023.2 (lin64) Build 4029153
| Date         : Mon Jan  5 10:20:00 2026
| Host         : build running 64-bit Linux
| Command      : {command}
| Design       : filter
| Device       : xcvu13p-flga2577-2-e
| Speed File   : -2
| Design State : {state}
------------------------------------------------------------------
"""

UTILIZATION = (
    HEADING.format(command="report_utilization -file u.rpt", state="Synthesized")
    + """
Utilization Design Information

Table of Contents
-----------------
1. CLB Logic
1.1 Summary of Registers by Type

1. CLB Logic
------------

+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| CLB LUTs*                  | 7,538 |     0 |          0 |   1728000 |  0.44 |
|   LUT as Logic             | 7500 |     0 |          0 |   1728000 |  0.43 |
|   LUT as Memory            |   38 |     0 |          0 |    791040 | <0.01 |
| CLB Registers              | 6587 |     0 |          0 |   3456000 |  0.19 |
|   Register as Flip Flop    | 6586 |     0 |          0 |   3456000 |  0.19 |
|   Register as Latch        |    1 |     0 |          0 |   3456000 | <0.01 |
| CARRY8                     |  512 |     0 |          0 |    216000 |  0.24 |
+----------------------------+------+-------+------------+-----------+-------+
* Warning! The Final LUT count, after physical optimizations, is typically lower.

3. BLOCKRAM
-----------

+-------------------+------+-------+------------+-----------+-------+
|     Site Type     | Used | Fixed | Prohibited | Available | Util% |
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    |  1.5 |     0 |          0 |      2688 |  0.06 |
|   RAMB36/FIFO*    |    1 |     0 |          0 |      2688 |  0.04 |
|   RAMB18          |    1 |     0 |          0 |      5376 |  0.02 |
| URAM              |    0 |     0 |          0 |      1280 |  0.00 |
+-------------------+------+-------+------------+-----------+-------+

4. ARITHMETIC
-------------

+-----------+------+-------+------------+-----------+-------+
| Site Type | Used | Fixed | Prohibited | Available | Util% |
+-----------+------+-------+------------+-----------+-------+
| DSPs      |   10 |     0 |          0 |     12288 |  0.08 |
+-----------+------+-------+------------+-----------+-------+
"""
)

OLD_UTILIZATION = """| Tool Version : Vivado v.2018.2 (win64) Build 2258646
| Design       : soc
| Device       : 7a100tcsg324-1
| Design State : Routed

Utilization Design Information

+-------------------------+-------+-------+-----------+--------+
|        Site Type        |  Used | Fixed | Available | Util%  |
+-------------------------+-------+-------+-----------+--------+
| Slice LUTs*             | 70000 |     0 |     63400 | 110.41 |
| Slice Registers         |    51 |     0 |    126800 |   0.04 |
+-------------------------+-------+-------+-----------+--------+
"""

BY_INSTANCE = """| Tool Version : Vivado v.2022.1 (lin64) Build 1
| Design       : top
| Device       : xc7a200tfbg484-2
| Design State : Synthesized

Utilization Design Information

+------------+--------+------------+------------+------+-----+--------+--------+------------+
|  Instance  | Module | Total LUTs | Logic LUTs | SRLs | FFs | RAMB36 | RAMB18 | DSP Blocks |
+------------+--------+------------+------------+------+-----+--------+--------+------------+
| top        |  (top) |       1611 |       1611 |    0 | 308 |     10 |      2 |         36 |
|   dense    |  dense |       1484 |       1484 |    0 |  66 |      0 |      0 |         32 |
+------------+--------+------------+------------+------+-----+--------+--------+------------+
"""

TIMING = (
    HEADING.format(command="report_timing_summary -file t.rpt", state="Routed")
    + """
------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)
    -------      -------  ---------------------  -------------------      -------      -------
     -0.156       -1.200                     23                 1696        0.057        0.000


Timing constraints are not met.


------------------------------------------------------------------------------------------------
| Clock Summary
| -------------
------------------------------------------------------------------------------------------------

Clock    Waveform(ns)       Period(ns)      Frequency(MHz)
-----    ------------       ----------      --------------
sys_clk  {0.000 2.500}      5.000           200.000


------------------------------------------------------------------------------------------------
| Intra Clock Table
| -----------------
"""
)


def read(folder: Path, text: str, name: str = "report.rpt") -> VendorReport:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return read_report(file)


@pytest.mark.parametrize(("text", "name"), [(CSYNTH_XML, "csynth.xml"), (CSYNTH_RPT, "f.rpt")])
def test_both_reports_of_vitis_hls_tell_the_same(tmp_path: Path, text: str, name: str) -> None:
    report = read(tmp_path, text, name)
    assert report.file == name
    assert report.kind == "vitis-hls csynth"
    assert report.stage == "C synthesis, estimated"
    assert report.tool_version is not None
    assert report.tool_version.startswith("2023.2")
    assert (report.top, report.part) == ("filter", "xcvu13p-flga2577-2-e")
    assert (report.lut, report.ff, report.dsp, report.bram_18k, report.uram) == (
        5885, 463, 220, 3, 0,
    )  # fmt: skip
    assert (report.target_clock_ns, report.achieved_clock_ns) == (5.0, 4.363)
    assert (report.latency_min_cycles, report.latency_max_cycles) == (16, 18)
    assert (report.interval_min_cycles, report.interval_max_cycles) == (1, 2)
    assert report.available["dsp"] == 12288
    assert all((getattr(report, name) or 0) <= has for name, has in report.available.items())


def test_what_is_missing_is_none(tmp_path: Path) -> None:
    text = CSYNTH_XML.replace("<LUT>5885</LUT>", "").replace(
        "<Part>xcvu13p-flga2577-2-e</Part>", ""
    )
    text = text.replace(">16<", ">undef<").replace("<DSP>220</DSP>", "<DSP48E>-1</DSP48E>")
    report = read(tmp_path, text)
    assert (report.lut, report.part, report.latency_min_cycles, report.dsp) == (None,) * 4
    assert report.ff == 463
    assert report.available["lut"] == 1728000
    text = CSYNTH_RPT.replace("|       16|       18|", "|        ?|        ?|")
    report = read(tmp_path, text.replace("4.363 ns", "4.363 oz"))
    assert (report.latency_min_cycles, report.latency_max_cycles) == (None, None)
    assert (report.achieved_clock_ns, report.interval_max_cycles) == (None, 2)
    assert report.target_clock_ns == 5.0


def test_older_vitis_names_and_units(tmp_path: Path) -> None:
    text = CSYNTH_RPT.replace("|  DSP  |", "| DSP48E|").replace("5.00 ns", "5.00").replace(
        "4.363 ns", "4.363"
    )  # fmt: skip
    report = read(tmp_path, text.replace("Vitis HLS Report", "Vivado HLS Report"))
    assert (report.dsp, report.target_clock_ns, report.top) == (220, 5.0, "filter")
    assert read(tmp_path, CSYNTH_RPT.replace("4.363 ns", "0.004 us")).achieved_clock_ns == 4.0


def test_vivado_utilization(tmp_path: Path) -> None:
    report = read(tmp_path, UTILIZATION)
    assert (report.kind, report.stage) == ("vivado utilization", "Synthesized")
    assert (report.tool_version, report.top) == ("2023.2", "filter")
    assert report.part == "xcvu13p-flga2577-2-e"
    assert (report.lut, report.ff, report.dsp, report.bram_18k) == (7538, 6586, 10, 3)
    assert report.available == {
        "lut": 1728000, "ff": 3456000, "bram_18k": 5376, "uram": 1280, "dsp": 12288,
    }  # fmt: skip
    assert (report.latency_min_cycles, report.achieved_clock_ns) == (None, None)


def test_an_older_vivado_with_a_design_too_large(tmp_path: Path) -> None:
    report = read(tmp_path, OLD_UTILIZATION)
    assert (report.lut, report.ff, report.dsp, report.bram_18k) == (70000, 51, None, None)
    over = [name for name, has in report.available.items() if (getattr(report, name) or 0) > has]
    assert over == ["lut"]


def test_vivado_by_instance_takes_the_top(tmp_path: Path) -> None:
    report = read(tmp_path, BY_INSTANCE)
    assert (report.lut, report.ff, report.dsp, report.bram_18k) == (1611, 308, 36, 22)


def test_vivado_timing(tmp_path: Path) -> None:
    report = read(tmp_path, TIMING)
    assert (report.kind, report.stage) == ("vivado timing", "Routed")
    assert (report.target_clock_ns, report.achieved_clock_ns) == (5.0, 5.156)


TWO_CLOCKS = TIMING.replace(
    "200.000\n", "200.000\n  adc    {0.000 4.000}      8.000           125.000\n"
).replace(
    "| -----------------\n",
    """| -----------------
------------------------------------------------------------------------------------------------

Clock        WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints     WPWS(ns)
-----        -------      -------  ---------------------  -------------------     --------
sys_clk                                                                              2.000
  adc         -0.156       -1.200                     23                 1696        3.500

""",
)


def test_of_two_clocks_the_one_with_the_slack_is_named(tmp_path: Path) -> None:
    report = read(tmp_path, TWO_CLOCKS)
    assert (report.slack_ns, report.clock) == (-0.156, "adc")
    assert (report.target_clock_ns, report.achieved_clock_ns) == (8.0, 8.156)
    between = read(tmp_path, TWO_CLOCKS.replace("adc         -0.156", "adc          0.300"))
    assert (between.slack_ns, between.clock, between.achieved_clock_ns) == (-0.156, None, None)


def test_shares_in_cells_are_passed_over(tmp_path: Path) -> None:
    text = BY_INSTANCE.replace("       1611 |", "1611(2.32%) |").replace("308 |", "308(0.1%) |")
    text = text.replace("     10 |", "10 (<0.01%) |").replace("         36 |", "    36(~0%) |")
    report = read(tmp_path, text)
    assert (report.lut, report.ff, report.dsp, report.bram_18k) == (1611, 308, 36, 22)


def test_latencies_of_vivado_hls_2018(tmp_path: Path) -> None:
    start, end = CSYNTH_RPT.index("\n+ Latency:"), CSYNTH_RPT.index("    + Detail:")
    report = read(tmp_path, CSYNTH_RPT[:start] + OLD_LATENCY + CSYNTH_RPT[end:])
    assert report == read(tmp_path, CSYNTH_RPT)


def test_the_summary_of_a_solution_gives_its_top(tmp_path: Path) -> None:
    summary, whole = read(tmp_path, CSYNTH_SUMMARY), read(tmp_path, CSYNTH_RPT)
    for name in ("top", "part", "tool_version", "lut", "ff", "dsp", "bram_18k", "uram"):
        assert getattr(summary, name) == getattr(whole, name)
    assert (summary.latency_max_cycles, summary.interval_max_cycles) == (18, 2)
    assert summary.latency_min_cycles is None
    unknown = read(tmp_path, CSYNTH_SUMMARY.replace("|       18|", "|        -|"))
    assert (unknown.latency_max_cycles, unknown.lut) == (None, 5885)


def test_a_cosimulation_measures_the_latency(tmp_path: Path) -> None:
    report = read(tmp_path, COSIMULATION, "filter_cosim.rpt")
    assert (report.kind, report.top) == ("vitis-hls cosimulation", "filter")
    assert report.stage == "Verilog simulated: Pass, measured"
    assert (report.latency_min_cycles, report.latency_max_cycles) == (15, 17)
    assert (report.interval_min_cycles, report.interval_max_cycles) == (1, 2)
    once = COSIMULATION.replace("      1|      1|      2|", "     NA|     NA|     NA|")
    assert read(tmp_path, once).interval_max_cycles is None
    with pytest.raises(DataError, match="without any figure"):
        read(tmp_path, COSIMULATION.replace("Pass|     15", "NA|     15"))


def test_catapult(tmp_path: Path) -> None:
    cycle, rtl = read(tmp_path, CATAPULT_CYCLE), read(tmp_path, CATAPULT_RTL)
    for report in (cycle, rtl):
        assert (report.kind, report.top) == ("catapult", "filter")
        assert report.tool_version == "2024.2/1130128 Production Release"
        assert (report.latency_max_cycles, report.interval_max_cycles) == (25, 3)
        assert report.target_clock_ns == 10.0
    assert (cycle.clock, cycle.area_score) == ("clk", None)
    assert (rtl.achieved_clock_ns, rtl.slack_ns, rtl.area_score) == (9.358098, 0.641902, 5862.2)
    endless = read(tmp_path, CATAPULT_CYCLE.replace("25          3", "-1          3"))
    assert (endless.latency_max_cycles, endless.interval_max_cycles) == (None, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a report known here"),
        ("hello\n", "not a report known here"),
        ("<profile><Area", "not valid XML"),
        ("<html><body/></html>", "without estimates"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "document type"),
        ("== Synthesis Summary Report of 'filter'\n", "without any figure"),
        ("-- Catapult Ultra Synthesis: Report\n", "without any figure"),
        ("== Performance Estimates\n", "without any figure"),
        ("Utilization Design Information\n| Site Type | Used |\n", "without any figure"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as error:
        read(tmp_path, text)
    assert "report.rpt" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_without_a_header_is_passed_over(tmp_path: Path) -> None:
    rules = "+--+\n+--+\n| a |\n+--+\n"  # of a file that lost lines
    assert read(tmp_path, rules + UTILIZATION) == read(tmp_path, UTILIZATION)


def test_a_damaged_list_of_reports_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "vendor_reports.json"
    for kept, message in (("{}", "'reports' is no list"), ('[{"lut": 1}]', "without sha256")):
        path.write_text(f'{{"schema": 1, "reports": {kept}}}')
        with pytest.raises(RunError, match=message):
            vendor_reports(tmp_path)


def test_a_missing_or_binary_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_report(tmp_path / "none.xml")
    with pytest.raises(DataError, match="cannot be read"):
        read_report(tmp_path)
    (tmp_path / "x.rpt").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(DataError, match="not a report"):
        read_report(tmp_path / "x.rpt")


@pytest.mark.parametrize(
    "text",
    [
        *(CSYNTH_XML, CSYNTH_RPT, CSYNTH_SUMMARY, COSIMULATION, UTILIZATION, BY_INSTANCE),
        *(TIMING, TWO_CLOCKS, CATAPULT_RTL, CATAPULT_CYCLE),
    ],
)
def test_a_report_cut_anywhere_gives_an_error_or_true_figures(tmp_path: Path, text: str) -> None:
    whole = read(tmp_path, text)
    for end in range(0, len(text), 97):
        try:
            part = read(tmp_path, text[: text.rfind("\n", 0, end) + 1])
        except DataError:
            continue
        for name in (
            *("lut", "ff", "dsp", "bram_18k", "latency_max_cycles", "achieved_clock_ns"),
            *("slack_ns", "area_score", "interval_max_cycles"),
        ):
            assert getattr(part, name) in {None, getattr(whole, name)}
