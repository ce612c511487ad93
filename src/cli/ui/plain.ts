/** @file The training view where nobody watches: plain lines, few enough for a log. It knows nothing about training but its events. */
import pc from "picocolors";
import type { StepEnd, TrainEvent } from "../../train/events.ts";
import { eventLines, stepTexts } from "./event-text.ts";
import { formatCount, formatDuration } from "./format.ts";
import type { TrainView } from "./live.ts";
import { pace } from "./pace.ts";

const shareOfRun = 0.05;
const shortestPause = 1000;
const longestPause = 60_000;

/**
 * A view that writes a line for the first and the last update and for every twentieth of the run between them, but not more
 * often than once a second, and for slow runs at least once a minute. `now` gives milliseconds.
 */
export const plainView = (write: (line: string) => void, { now = () => performance.now() } = {}): TrainView => {
  const progress = pace();
  const colours = pc.createColors(false);
  let saidStep = -Infinity;
  let saidAt = -Infinity;

  const isDue = ({ step }: StepEnd): boolean => {
    const pause = now() - saidAt;
    const stride = Math.max(1, Math.ceil(progress.steps * shareOfRun));
    return step === progress.steps || pause >= longestPause || (pause >= shortestPause && step - saidStep >= stride);
  };

  const sayStep = (event: StepEnd): void => {
    const texts = stepTexts({ ...event, loss: progress.smoothedLoss });
    const place = `step ${formatCount(event.step)}/${formatCount(progress.steps)}`;
    write(
      [
        place,
        texts.loss,
        ...texts.metrics,
        texts.rate,
        texts.gradient,
        texts.speed,
        texts.memory,
        `${formatDuration(progress.secondsLeft)} left`,
      ].join("  "),
    );
    saidStep = event.step;
    saidAt = now();
  };

  return {
    listen(event: TrainEvent) {
      progress.listen(event);
      if (event.type === "step-end" && isDue(event)) sayStep(event);
      eventLines(event, colours).forEach(write);
    },
    say: write,
    close: () => undefined,
  };
};
