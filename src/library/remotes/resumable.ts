/** @file Reads bytes over a line that may break: goes on from the last one that came. It knows nothing about protocols. */
import { PassingFailure, type RetryPolicy } from "../../formats/hub-retry.ts";
import { LowrankError } from "../../util/index.ts";

const givenUp = (failure: PassingFailure, where: string): LowrankError =>
  new LowrankError("network-failed", failure.message, { where, fix: "Run again to go on from what has arrived.", cause: failure });

/** Tries again while an attempt fails in passing; what failed for good is `network-failed` at that place. */
export const persistently = async <Result>(policy: RetryPolicy, where: string, attempt: () => Promise<Result>): Promise<Result> => {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof PassingFailure)) throw error;
      if (tries >= policy.attempts) throw givenUp(error, where);
      const pause = policy.firstPause * 2 ** (tries - 1) * (0.5 + policy.random.uniform() / 2);
      await policy.sleep(Math.min(error.retryAfter ?? pause, policy.longestPause));
    }
  }
};

/** The bytes that `open` gives from a position on, opened again at the position reached whenever the line breaks. */
export async function* resumable(
  policy: RetryPolicy,
  where: string,
  from: number,
  open: (from: number) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let position = from;
  for (let tries = 1; ;) {
    try {
      for await (const chunk of open(position)) {
        position += chunk.length;
        tries = 1;
        yield chunk;
      }
      return;
    } catch (error) {
      if (!(error instanceof PassingFailure)) throw error;
      if (tries >= policy.attempts) throw givenUp(error, where);
      const pause = policy.firstPause * 2 ** (tries - 1) * (0.5 + policy.random.uniform() / 2);
      await policy.sleep(Math.min(error.retryAfter ?? pause, policy.longestPause));
      tries += 1;
    }
  }
}
