/** @file Collects the losses of a run for its plot. It knows nothing about how they are drawn. */
import type { TrainEvent } from "../../train/events.ts";
import { plot, type PlotOptions } from "./plot.ts";

type Point = readonly [step: number, loss: number];

export interface LossHistory {
  listen(event: TrainEvent): void;
  /** The loss curve, or nothing before the second update. */
  plot(options: PlotOptions): string;
}

/** A listener that remembers the training and held-out loss of every step. */
export const lossHistory = (): LossHistory => {
  const training: Point[] = [];
  const heldOut: Point[] = [];
  return {
    listen(event) {
      if (event.type === "step-end") training.push([event.step, event.loss]);
      if (event.type === "eval-end") heldOut.push([event.step, event.loss]);
    },
    plot(options) {
      if (training.length < 2) return "";
      const series = [
        { label: "training loss", style: "line", points: training },
        { label: "held-out loss", style: "marks", points: heldOut },
      ] as const;
      return plot(
        series.filter(({ points }) => points.length > 0),
        { xLabel: "step", ...options },
      );
    },
  };
};
