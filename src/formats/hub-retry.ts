/** @file Tries again what failed in passing: exponential pauses with jitter, or what the server asked for. It knows nothing about requests. */
import { setTimeout as wait } from "node:timers/promises";
import { random, type Random } from "../util/index.ts";

/** How often and how patiently to try; all times in milliseconds. */
export interface RetryPolicy {
  /** Tries in a row that bring nothing; default 5. */
  readonly attempts: number;
  /** The first pause, doubled after each try; default 500. */
  readonly firstPause: number;
  /** No pause is longer, whatever the server asks; default 120,000. */
  readonly longestPause: number;
  /** A connection that brings nothing for so long has failed; default 30,000. */
  readonly silence: number;
  /** Draws the jitter. */
  readonly random: Random;
  readonly sleep: (milliseconds: number) => Promise<unknown>;
}

/** The default policy with changes. Its jitter differs between processes on purpose, so that they do not come back at the same moment. */
export const retryPolicy = (changes: Partial<RetryPolicy> = {}): RetryPolicy => ({
  attempts: 5,
  firstPause: 500,
  longestPause: 120_000,
  silence: 30_000,
  random: random(Date.now(), process.pid),
  sleep: (milliseconds) => wait(milliseconds),
  ...changes,
});

/** A failure that another try may cure. */
export class PassingFailure extends Error {
  override readonly name = "PassingFailure";
  /** What the server asked to wait, in milliseconds. */
  readonly retryAfter: number | undefined;
  /** True where the try brought something, so that the count of tries starts again. */
  readonly progressed: boolean;

  constructor(message: string, details: { retryAfter?: number | undefined; progressed?: boolean; cause?: unknown } = {}) {
    super(message, { cause: details.cause });
    this.retryAfter = details.retryAfter;
    this.progressed = details.progressed ?? false;
  }
}

/** Repeats an attempt while it throws a `PassingFailure`; the last one is thrown, as is any other error at once. */
export const withRetries = async <Result>(policy: RetryPolicy, attempt: () => Promise<Result>): Promise<Result> => {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof PassingFailure)) throw error;
      if (error.progressed) tries = 1;
      if (tries >= policy.attempts) throw error;
      const pause = policy.firstPause * 2 ** (tries - 1) * (0.5 + policy.random.uniform() / 2);
      await policy.sleep(Math.min(error.retryAfter ?? pause, policy.longestPause));
    }
  }
};
