/** @file What a measurement says about the process and the machine that it ran on. It knows nothing about what was measured. */
import { readFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";

/** The most memory that this process has held at once, in bytes: mapped weights are counted where they were touched. */
export const peakMemory = (): number => {
  try {
    const [, kilobytes] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))!;
    return Number(kilobytes) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
};

export interface MachineReport {
  readonly peakMemoryBytes: number;
  /** Threads within an operation. */
  readonly threads: number;
  /** Processes that wanted a core over the last minute, when the measurement began and when it ended: a figure is good where there were few others. */
  readonly loadAverage: readonly [before: number, after: number];
}

/** Takes the load average now; what it returns completes the report when the measurement is over. */
export const observeMachine = (threads = availableParallelism()): (() => MachineReport) => {
  const [before] = loadavg();
  return () => ({ peakMemoryBytes: peakMemory(), threads, loadAverage: [before, loadavg()[0]] });
};

/** The middle of some values, the mean of the two middle ones where they are even. */
export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
