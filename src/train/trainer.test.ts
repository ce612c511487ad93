import { describe, expect, it } from "vitest";
import { layoutOf } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import type { TrainingState } from "./checkpoint.ts";
import type { TrainEvent } from "./events.ts";
import type { TrainingBatch } from "./losses/loss.ts";
import { adamw } from "./optim/adamw.ts";
import { sgd } from "./optim/sgd.ts";
import type { StepRunner } from "./programs.ts";
import { learningRateAt, type LearningRateSchedule } from "./schedule.ts";
import { train, type TrainerOptions } from "./trainer.ts";

const layout = layoutOf([{ name: "x", role: "weight", shape: [1] }]);

/** Labels, each of which pulls the parameter towards `target`. */
interface Pull extends TrainingBatch {
  readonly target: number;
  readonly labels: number;
}

/** A batch of `labels` labels, after a token without one. */
const batch = (target: number, labels: number, sources: readonly string[] = []): Pull => ({ target, labels, tokens: labels + 1, sources });

interface Call {
  readonly target: number;
  readonly dropoutSeed: number;
  readonly micro: number;
}

/** A loss of (x − target)² / 2 per label; remembers what it was called with. */
const quadratic = (calls: Call[] = []): StepRunner<Pull> => ({
  shapeOf: ({ labels }) => ({ B: 1, T: labels }),
  isReady: () => true,
  prepare: () => Promise.resolve(),
  run: async ({ target, labels: weight }, [x], dropoutSeed, micro) => {
    calls.push({ target, dropoutSeed, micro });
    const distance = x - target;
    return {
      loss: (weight * distance ** 2) / 2,
      weight,
      metrics: { distance: { sum: weight * distance, weight } },
      counts: { labels: [weight] },
      gradient: Float32Array.of(weight * distance),
    };
  },
  dispose: () => Promise.resolve(),
});

/** Held-out losses as they are given, one after the other. */
const scripted = (losses: readonly number[]): StepRunner<Pull> => {
  let next = 0;
  return { ...quadratic(), run: async () => ({ loss: losses[next++], weight: 1, metrics: {}, counts: {}, gradient: new Float32Array(0) }) };
};

// A pass of seven batches, in another order each time.
const pass = (epoch: number) => ({ count: 7, batch: (index: number) => batch((index * (epoch + 2)) % 7, 1 + index) });

interface Recorded {
  readonly events: TrainEvent[];
  readonly saves: { readonly state: TrainingState; readonly isBest: boolean }[];
  readonly parameters: Float32Array;
}

type Given = Partial<Omit<TrainerOptions<Pull>, "schedule">> & { readonly schedule?: Partial<LearningRateSchedule> };

const record = async (given: Given = {}): Promise<Recorded> => {
  const saves: Recorded["saves"] = [];
  const { schedule, ...rest } = given;
  const options: TrainerOptions<Pull> = {
    training: quadratic(),
    parameters: Float32Array.of(0),
    optimiser: adamw(layout),
    schedule: { schedule: "cosine", peak: 0.1, warmupSteps: 2, totalSteps: 12, ...schedule },
    epochs: 3,
    epochBatches: pass,
    accumulate: 2,
    maxGradientNorm: 1,
    seed: 3,
    heldOut: [],
    evalEvery: 0,
    saveEvery: 0,
    earlyStopping: { patience: Infinity },
    save: async (state, isBest) => {
      saves.push({ state: structuredClone(state), isBest });
      return `step-${state.progress.step}`;
    },
    ...rest,
  };
  const events: TrainEvent[] = [];
  for await (const event of train(options)) events.push(event);
  return { events, saves, parameters: options.parameters };
};

/** A run in words: `1` a step, `eval 4*` an evaluation that is the best so far, `save 4` a checkpoint, and the reason for its end. */
const story = ({ events }: Recorded): string =>
  events
    .map((event) => {
      if (event.type === "step-end") return event.step;
      if (event.type === "eval-end") return `eval ${event.step}${event.best ? "*" : ""}`;
      if (event.type === "checkpoint-saved") return `save ${event.step}${event.kind === "best" ? "*" : ""}`;
      return event.type === "run-end" ? event.reason : event.type;
    })
    .join(", ");

const ofType = <Type extends TrainEvent["type"]>({ events }: Recorded, type: Type) =>
  events.filter((event): event is Extract<TrainEvent, { type: Type }> => event.type === type);

describe("an update", () => {
  it("is a mean over the labels of all its batches, not of the batches' means", async () => {
    const batches = [batch(1, 1), batch(4, 3)];
    const { events, parameters } = await record({
      epochBatches: () => ({ count: 2, batch: (index) => batches[index] }),
      epochs: 1,
      optimiser: sgd(layout),
      schedule: { schedule: "constant", peak: 1, warmupSteps: 0, totalSteps: 1 },
      maxGradientNorm: Infinity,
    });
    // With a rate of 1 it goes all the way to the mean target, (1·1 + 3·4) / 4.
    expect(parameters).toEqual(Float32Array.of(3.25));
    expect(events[0]).toMatchObject({ loss: (0.5 + 3 * 8) / 4, gradientNorm: 3.25, tokens: 6, weight: 4, epoch: 1 });
    expect(ofType({ events, parameters, saves: [] }, "step-end")[0].metrics).toEqual({ distance: -3.25 });
  });

  it("is clipped to the largest norm, and tells the norm from before", async () => {
    const { events, parameters } = await record({
      epochBatches: () => ({ count: 1, batch: () => batch(8, 1) }),
      epochs: 1,
      optimiser: sgd(layout),
      schedule: { schedule: "constant", peak: 1, warmupSteps: 0, totalSteps: 1 },
      maxGradientNorm: 2,
    });
    expect(parameters[0]).toBeCloseTo(2, 5);
    expect(events[0]).toMatchObject({ gradientNorm: 8 });
  });

  it("draws dropout by seed and step, and another for each of its batches", async () => {
    const [first, again, other]: Call[][] = [[], [], []];
    await record({ training: quadratic(first) });
    await record({ training: quadratic(again) });
    await record({ training: quadratic(other), seed: 4 });
    expect(again).toEqual(first);
    expect(first.map(({ micro }) => micro).slice(0, 9)).toEqual([0, 1, 0, 1, 0, 1, 0, 0, 1]);
    expect(new Set(first.map(({ dropoutSeed }) => dropoutSeed)).size).toBe(12);
    expect(other.map(({ dropoutSeed }) => dropoutSeed)).not.toEqual(first.map(({ dropoutSeed }) => dropoutSeed));
  });
});

describe("a run", () => {
  it("takes every batch of a pass once, with a smaller last update", async () => {
    const calls: Call[] = [];
    const recorded = await record({ training: quadratic(calls) });
    const targets = [0, 1, 2].flatMap((epoch) => Array.from({ length: 7 }, (_, index) => (index * (epoch + 2)) % 7));
    expect(calls.map(({ target }) => target)).toEqual(targets);
    const steps = ofType(recorded, "step-end");
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(steps.map(({ weight }) => weight).slice(0, 4)).toEqual([1 + 2, 3 + 4, 5 + 6, 7]);
    expect(steps.map(({ epoch }) => epoch).slice(0, 5)).toEqual([2 / 7, 4 / 7, 6 / 7, 1, 1 + 2 / 7]);
    expect(ofType(recorded, "run-end")).toMatchObject([{ reason: "completed", step: 12, tokens: 3 * (28 + 7) }]);
  });

  it("follows the schedule step by step", async () => {
    const schedule = { schedule: "linear", peak: 0.5, warmupSteps: 3, totalSteps: 9 } as const;
    const far = { count: 16, batch: () => batch(1e6, 1) };
    const recorded = await record({ schedule, epochs: 1, epochBatches: () => far, optimiser: sgd(layout) });
    const rates = ofType(recorded, "step-end").map(({ learningRate }) => learningRate);
    expect(rates).toEqual(Array.from({ length: 8 }, (_, step) => learningRateAt(schedule, step)));
    expect([rates[0], rates[3], rates[6]]).toEqual([0, 0.5, 0.25]);
    // A clipped gradient moves by the rate itself.
    expect(recorded.parameters[0]).toBeCloseTo(0 + 1 / 6 + 1 / 3 + (0.5 * (6 + 5 + 4 + 3 + 2)) / 6, 5);
  });

  it.each<[string, Given, string]>([
    ["ends with its data", { epochs: 1 }, "1, 2, 3, 4, save 4, completed"],
    ["ends with its schedule", { schedule: { totalSteps: 3 } }, "1, 2, 3, save 3, max-steps"],
    ["says that the data ended where both do", { epochs: 1, schedule: { totalSteps: 4 } }, "1, 2, 3, 4, save 4, completed"],
    ["saves at intervals and at the end", { epochs: 1, saveEvery: 3 }, "1, 2, 3, save 3, 4, save 4, completed"],
    ["takes one batch at a time", { epochs: 1, accumulate: 1, schedule: { totalSteps: 7 } }, "1, 2, 3, 4, 5, 6, 7, save 7, completed"],
    ["takes a pass at a time", { epochs: 2, accumulate: 9 }, "1, 2, save 2, completed"],
  ])("%s", async (_, given, expected) => {
    expect(story(await record(given))).toBe(expected);
  });

  it.each<[string, readonly number[], Given, string]>([
    ["before the first step and after the last", [3, 2], {}, "eval 0*, 1, 2, 3, 4, eval 4*, save 4*, completed"],
    [
      "at intervals, and saves the best at once",
      [3, 2, 2.5],
      { evalEvery: 2, saveEvery: 3 },
      "eval 0*, 1, 2, eval 2*, save 2*, 3, save 3, 4, eval 4, save 4, completed",
    ],
    ["without saving one that is not better than the start", [1, 2], {}, "eval 0*, 1, 2, 3, 4, eval 4, save 4, completed"],
    [
      "until the patience is at its end",
      [3, 2, 2.5, 2.1],
      { evalEvery: 1, earlyStopping: { patience: 2 } },
      "eval 0*, 1, eval 1*, save 1*, 2, eval 2, 3, eval 3, save 3, early-stopping",
    ],
    [
      "to the end where the last evaluation is the one too many",
      [1, 2, 3],
      { evalEvery: 2, earlyStopping: { patience: 2 } },
      "eval 0*, 1, 2, eval 2, 3, 4, eval 4, save 4, completed",
    ],
  ])("evaluates %s", async (_, losses, given, expected) => {
    expect(story(await record({ epochs: 1, heldOut: [batch(1, 1)], evaluation: scripted(losses), ...given }))).toBe(expected);
  });

  it("does not evaluate without held-out data or without a program for it", async () => {
    expect(story(await record({ epochs: 1, evalEvery: 1, evaluation: scripted([]) }))).toBe("1, 2, 3, 4, save 4, completed");
    expect(story(await record({ epochs: 1, evalEvery: 1, heldOut: [batch(1, 1)] }))).toBe("1, 2, 3, 4, save 4, completed");
  });

  it("tells of programs before they are built", async () => {
    const compiled = new Set<number>();
    const training: StepRunner<Pull> = {
      ...quadratic(),
      isReady: ({ labels }) => compiled.has(labels),
      prepare: async ({ labels }) => {
        compiled.add(labels);
      },
    };
    const recorded = await record({ training, accumulate: 4, schedule: { totalSteps: 2 } });
    expect(story(recorded)).toBe(
      `${"compile-start, compile-end, ".repeat(4)}1, ${"compile-start, compile-end, ".repeat(3)}2, save 2, max-steps`,
    );
    expect(ofType(recorded, "compile-start").map(({ shape }) => shape[1])).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });
});

it("an evaluation adds up the counts of its batches", async () => {
  const recorded = await record({ epochs: 1, evaluation: quadratic(), heldOut: [batch(1, 2), batch(3, 5)] });
  expect(ofType(recorded, "eval-end").map(({ weight, counts }) => [weight, counts])).toEqual([
    [7, { labels: [7] }],
    [7, { labels: [7] }],
  ]);
});

describe("a signal", () => {
  it.each<[string, number, string]>([
    ["before the run ends it after one step", 0, "1, save 1, interrupted"],
    ["in the third step ends it there", 3, "1, 2, 3, save 3, interrupted"],
    ["in the last step lets it end as it would", 4, "1, 2, 3, 4, save 4, completed"],
  ])("%s", async (_, step, expected) => {
    const controller = new AbortController();
    if (step === 0) controller.abort();
    let calls = 0;
    const inner = quadratic();
    const training: StepRunner<Pull> = {
      ...inner,
      run: (...given) => {
        if (Math.ceil(++calls / 2) === step) controller.abort();
        return inner.run(...given);
      },
    };
    const recorded = await record({ training, epochs: 1, signal: controller.signal });
    expect(story(recorded)).toBe(expected);
    expect(recorded.saves.at(-1)!.state.progress).toMatchObject({ step: Math.max(1, step) });
  });
});

describe("a resumed run", () => {
  const losses = [5, 4, 4.5, 3, 3.5, 3.2, 3.1];
  const held = (from: number): Given => ({
    evalEvery: 2,
    saveEvery: 1,
    heldOut: [batch(1, 1)],
    evaluation: scripted(losses.slice(from)),
  });

  it.each([1, 2, 3, 4, 5, 8, 11])("after step %i goes on as the unbroken one", async (step) => {
    const whole = await record(held(0));
    const { state } = whole.saves.find((save) => save.state.progress.step === step)!;
    const resumed = await record({ ...held(1 + Math.floor(step / 2)), resume: structuredClone(state) });
    expect(story(resumed)).toBe(story(whole).slice(story(whole).indexOf(`, ${step + 1}, `) + 2));
    expect(resumed.parameters).toEqual(whole.parameters);
    expect(resumed.saves.at(-1)).toEqual(whole.saves.at(-1));
    expect(ofType(resumed, "run-end")[0]).toMatchObject({ step: 12, tokens: 105, best: { step: 6, loss: 3 } });
  });

  it.each<[string, Given, string]>([
    ["completed", {}, "completed"],
    ["at its limit of steps", { schedule: { totalSteps: 5 } }, "max-steps"],
    ["stopped early", { earlyStopping: { patience: 1 } }, "early-stopping"],
  ])("that was %s already makes no step", async (_, given, reason) => {
    const whole = await record({ ...held(0), ...given });
    expect(ofType(whole, "run-end")[0]).toMatchObject({ reason });
    const { state } = whole.saves.at(-1)!;
    const resumed = await record({ ...held(0), ...given, resume: structuredClone(state) });
    expect(story(resumed)).toBe(reason);
    expect(resumed.parameters).toEqual(whole.parameters);
  });

  it("refuses the memory of another optimiser", async () => {
    const { saves } = await record({ epochs: 1 });
    await expect(record({ optimiser: sgd(layout), resume: saves[0].state })).rejects.toMatchObject({ code: "shape-mismatch" });
  });
});

describe("a loss that is no number", () => {
  /** Breaks the `at`-th batch. */
  const breaking = (at: number, broken: Partial<{ loss: number; gradient: Float32Array }>): StepRunner<Pull> => {
    const inner = quadratic();
    let calls = 0;
    return {
      ...inner,
      run: async (...given) => ({ ...(await inner.run(...given)), ...(++calls === at && broken) }),
    };
  };
  const rows = ["a.jsonl:1", "a.jsonl:4", "a.jsonl:2", "a.jsonl:7", "a.jsonl:5"];
  const placed = (epoch: number) => ({
    count: 7,
    batch: (index: number) => ({ ...pass(epoch).batch(index), sources: rows.slice(0, index + 1) }),
  });
  const later = "Start a new run with a lower --learning-rate or a smaller --max-grad-norm; what was saved before is intact.";

  it.each<[string, Given, string, number]>([
    [
      "in a loss",
      { training: breaking(4, { loss: NaN }) },
      "a.jsonl:1, a.jsonl:4, a.jsonl:2 and 1 more: The loss at step 2 is not a finite number.",
      1,
    ],
    [
      "in a loss that is infinite",
      { training: breaking(3, { loss: Infinity }) },
      "a.jsonl:1, a.jsonl:4, a.jsonl:2: The loss at step 2 is",
      1,
    ],
    [
      "in a gradient",
      { training: breaking(4, { gradient: Float32Array.of(-Infinity) }) },
      "a.jsonl:1, a.jsonl:4, a.jsonl:2: The gradient at step 2 is",
      1,
    ],
    [
      "in an evaluation",
      { evalEvery: 2, heldOut: [batch(1, 1)], evaluation: scripted([3, NaN]) },
      "The held-out loss at step 2 is not a finite number.",
      2,
    ],
  ])("%s ends the run before anything of it is kept", async (_, given, message, updates) => {
    const parameters = Float32Array.of(0);
    const steps: number[] = [];
    const error: unknown = await record({
      parameters,
      epochBatches: placed,
      saveEvery: 1,
      ...given,
      save: async ({ progress }) => {
        steps.push(progress.step);
        return "";
      },
    }).catch((reason: unknown) => reason);
    expect(LowrankError.is(error) && error.code).toBe("training-diverged");
    expect((error as Error).message.startsWith(message), (error as Error).message).toBe(true);
    expect((error as LowrankError).fix).toBe(later);
    expect(steps).toEqual([1]);
    const whole = await record({ epochBatches: placed, saveEvery: 1 });
    expect(parameters).toEqual(whole.saves[updates - 1].state.parameters);
  });

  it("before the first update blames the base", async () => {
    const fix = "Nothing was trained yet, so check the base (lowrank inspect shows its norms) and the data.";
    await expect(record({ training: breaking(1, { loss: NaN }) })).rejects.toMatchObject({ fix });
    await expect(record({ heldOut: [batch(1, 1)], evaluation: scripted([NaN]) })).rejects.toMatchObject({ fix });
  });
});
