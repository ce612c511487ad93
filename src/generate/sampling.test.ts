import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../util/index.ts";
import { logProbability, sampler, type SamplingOptions } from "./sampling.ts";

const logits = Float32Array.of(2.5, -1.25, 0.5, 2.5, -3, 1.75, 0, -0.5, 1, 3.125);
const history = [9, 1, 0, 9];

/** The definition by full sorts, one step after the other. */
const expectedProbabilities = (logits: Float32Array, history: readonly number[], options: Required<SamplingOptions>): number[] => {
  const { repetitionPenalty, temperature, topK, topP, minP } = options;
  const penalised = Float32Array.from(logits, (l, id) => {
    if (!history.includes(id)) return l;
    return l > 0 ? l / repetitionPenalty : l * repetitionPenalty;
  });
  const order = Array.from(penalised.keys()).sort((a, b) => penalised[b] - penalised[a] || a - b);
  const softmax = (ids: readonly number[]): Map<number, number> => {
    const weights = ids.map((id) => Math.exp((penalised[id] - penalised[order[0]]) / temperature));
    const total = weights.reduce((a, b) => a + b);
    return new Map(ids.map((id, index) => [id, weights[index] / total]));
  };
  let kept = topK === 0 ? order : order.filter((id) => penalised[id] >= penalised[order[Math.min(topK, order.length) - 1]]);
  const before = softmax(kept);
  let reached = 0;
  kept = kept.filter((id, index) => {
    const keeps = index === 0 || topP === 1 || reached < topP - 1e-12;
    reached += before.get(id)!;
    return keeps;
  });
  kept = kept.filter((id) => before.get(id)! >= minP * before.get(order[0])! * (1 - 1e-12));
  const final = softmax(kept);
  return Array.from(penalised, (_, id) => final.get(id) ?? 0);
};

describe("probabilities", () => {
  // Computed with the logits processors of transformers 5.18 on torch 2.13.
  it.each<[SamplingOptions, number[]]>([
    [{}, [0.205823, 0.00484, 0.027855, 0.205823, 0.000841, 0.097224, 0.016895, 0.010247, 0.045925, 0.384527]],
    [{ repetitionPenalty: 1.3 }, [0.162653, 0.004681, 0.039195, 0.289611, 0.001184, 0.136803, 0.023773, 0.014419, 0.064621, 0.263061]],
    [{ temperature: 0.7 }, [0.199746, 0.000942, 0.011472, 0.199746, 0.000077, 0.068417, 0.005616, 0.002749, 0.023434, 0.4878]],
    [{ topK: 3 }, [0.258515, 0, 0, 0.258515, 0, 0, 0, 0, 0, 0.48297]],
    [{ topK: 2 }, [0.258515, 0, 0, 0.258515, 0, 0, 0, 0, 0, 0.48297]],
    [{ topP: 0.9 }, [0.219118, 0, 0, 0.219118, 0, 0.103504, 0, 0, 0.048892, 0.409367]],
    [{ topP: 0.01 }, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
    [{ minP: 0.2 }, [0.230382, 0, 0, 0.230382, 0, 0.108825, 0, 0, 0, 0.430411]],
    [
      { repetitionPenalty: 1.2, temperature: 1.4, topK: 7, topP: 0.8, minP: 0.15 },
      [0.218081, 0, 0, 0.293679, 0, 0.171876, 0, 0, 0, 0.316364],
    ],
    [{ repetitionPenalty: 0.8, temperature: 0.5, topK: 4, topP: 0.95 }, [0.165092, 0, 0, 0.0473, 0, 0, 0, 0, 0, 0.787609]],
  ])("with %j are those of transformers", (options, expected) => {
    const actual = sampler(options).probabilities(logits, history);
    for (const [id, probability] of expected.entries()) expect(actual[id]).toBeCloseTo(probability, 6);
  });

  it("keeps the lower ids of equals at the edge of the nucleus", () => {
    expect(Array.from(sampler({ topP: 0.5 }).probabilities(new Float32Array(4), []))).toEqual([0.5, 0.5, 0, 0]);
    expect(Array.from(sampler({ topP: 1e-18 }).probabilities(new Float32Array(4), []))).toEqual([1, 0, 0, 0]);
  });

  it("equal the definition by full sorts for any options, and sum to one", () => {
    const value = fc.constantFrom(-3, -1, -0.5, 0, 0.25, 0.5, 1, 2, 5);
    const options = fc.record({
      repetitionPenalty: fc.double({ min: 0.5, max: 2, noNaN: true }),
      temperature: fc.double({ min: 0.1, max: 3, noNaN: true }),
      topK: fc.nat(12),
      topP: fc.constantFrom(0.0513, 0.3071, 0.5233, 0.9017, 1),
      minP: fc.constantFrom(0, 0.0517, 0.5119, 1),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(11), { maxLength: 5 }),
        options,
        (values, history, options) => {
          const logits = Float32Array.from(values);
          const actual = sampler(options).probabilities(logits, history);
          const expected = expectedProbabilities(logits, history, options);
          for (const [id, probability] of expected.entries()) expect(actual[id]).toBeCloseTo(probability, 9);
          expect(actual.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
          expect(actual[sampler(options).next(logits, history)]).toBeGreaterThan(0);
        },
      ),
      { numRuns: 2000, seed: 1 },
    );
  });

  it("agree with full sorts on a vocabulary of 5,000", () => {
    const generator = random(3);
    const logits = Float32Array.from({ length: 5000 }, () => 3 * generator.normal());
    for (const options of [{ topK: 50 }, { topK: 4999 }, { topK: 1 }, { topP: 0.9 }, { topP: 0.999 }, { topK: 100, topP: 0.8 }]) {
      const all = { repetitionPenalty: 1, temperature: 0.8, topK: 0, topP: 1, minP: 0, seed: 0, ...options };
      const actual = sampler(all).probabilities(logits, []);
      const expected = expectedProbabilities(logits, [], all);
      expect(actual.filter((probability) => probability > 0).length).toBe(expected.filter((probability) => probability > 0).length);
      expect(Math.max(...expected.map((probability, id) => Math.abs(probability - actual[id])))).toBeLessThan(1e-12);
    }
  });

  it("puts all on one token at temperature 0", () => {
    expect(Array.from(sampler({ temperature: 0, topK: 3 }).probabilities(Float32Array.of(1, 2, 0), []))).toEqual([0, 1, 0]);
  });
});

describe("next", () => {
  it("takes the likeliest at temperature 0, of equals the lowest id, after the penalty", () => {
    const greedy = sampler({ temperature: 0 });
    expect(greedy.next(logits, history)).toBe(9);
    expect(greedy.next(Float32Array.of(1, 3, 3, 2), [])).toBe(1);
    expect(greedy.next(Float32Array.of(-Infinity, -Infinity, -5), [])).toBe(2);
    expect(sampler({ temperature: 0, repetitionPenalty: 1.3 }).next(logits, history)).toBe(3);
    expect(sampler({ temperature: 0, repetitionPenalty: 2 }).next(Float32Array.of(-1, -1.5), [0, 0])).toBe(1);
  });

  it("draws each token as often as its probability says (χ², 9 degrees of freedom, p = 0.001)", () => {
    const options = { temperature: 1.3, seed: 11 };
    const { next, probabilities } = sampler(options);
    const expected = Float64Array.from(probabilities(logits, []));
    const draws = 20_000;
    const counts = new Float64Array(10);
    const history: number[] = [];
    for (let draw = 0; draw < draws; draw++) {
      counts[next(logits, history)]++;
      history.push(0);
    }
    const chiSquared = expected.reduce(
      (total, probability, id) => total + (counts[id] - draws * probability) ** 2 / (draws * probability),
      0,
    );
    expect(chiSquared).toBeLessThan(27.88);
    expect(Array.from(counts.slice(0, 3))).toEqual([4030, 212, 872]);
  });

  it("is a function of seed and position, so that a stream can be taken up anywhere", () => {
    const flat = new Float32Array(1000);
    const stream = (seed: number, from: number, to: number): number[] => {
      const { next } = sampler({ seed });
      return Array.from({ length: to - from }, (_, index) =>
        next(
          flat,
          Array.from({ length: from + index }, () => 0),
        ),
      );
    };
    expect(stream(5, 0, 8)).toEqual([837, 614, 947, 287, 575, 560, 714, 623]);
    expect(stream(5, 3, 8)).toEqual(stream(5, 0, 8).slice(3));
    expect(stream(6, 0, 8)).not.toEqual(stream(5, 0, 8));
  });

  it("leaves the logits as they were, and takes vocabularies of another size", () => {
    const copy = logits.slice();
    const { next } = sampler({ repetitionPenalty: 1.5, topK: 2, topP: 0.5 });
    next(logits, history);
    expect(logits).toEqual(copy);
    expect(next(Float32Array.of(7), [])).toBe(0);
  });

  it.each([[[Number.NaN, 1]], [[1, Number.NaN]], [[1, Infinity]], [[-Infinity, -Infinity]], [[]]])("refuses the logits %j", (values) => {
    for (const temperature of [0, 1])
      expect(() => sampler({ temperature }).next(Float32Array.from(values), [])).toThrow(/logits: No token can be chosen/);
  });
});

it.each<[SamplingOptions, RegExp]>([
  [{ temperature: -1 }, /temperature: The value -1 is not allowed\. Give a number from 0 up\./],
  [{ temperature: Number.NaN }, /temperature: The value NaN/],
  [{ topK: 1.5 }, /topK: .* whole number/],
  [{ topP: 0 }, /topP: .* above 0 and up to 1/],
  [{ topP: 1.1 }, /topP/],
  [{ minP: -0.1 }, /minP/],
  [{ repetitionPenalty: 0 }, /repetitionPenalty/],
  [{ seed: 0.5 }, /seed/],
])("refuses the options %j", (options, message) => {
  expect(() => sampler(options)).toThrow(message);
});

describe("logProbability", () => {
  it("is the log-softmax of the raw logits", () => {
    expect(logProbability(logits, 9)).toBeCloseTo(Math.log(0.384527), 5);
    fc.assert(
      fc.property(fc.array(fc.float({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 20 }), (values) => {
        const logits = Float32Array.from(values);
        const total = Array.from(logits.keys()).reduce((sum, id) => sum + Math.exp(logProbability(logits, id)), 0);
        expect(total).toBeCloseTo(1, 9);
      }),
      { seed: 1 },
    );
  });

  it("does not overflow", () => {
    expect(logProbability(Float32Array.of(1000, 1000), 0)).toBeCloseTo(-Math.LN2, 12);
  });
});
