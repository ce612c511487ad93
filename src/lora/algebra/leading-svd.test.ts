import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { countingBackend } from "../../../test/counting-backend.ts";
import { input } from "../../graph/index.ts";
import { ortBackend } from "../../runtime/index.ts";
import { f32, random } from "../../util/index.ts";
import { departure, distance, randomRows, recompose, withSingularValues } from "./algebra.fixture.ts";
import { leadingSvd } from "./leading-svd.ts";
import { matrixOperator, weightOperator } from "./operator.ts";
import { normalVectors, randomisedSvd } from "./randomised-svd.ts";
import { svd, truncate, type Svd } from "./svd.ts";
import { fromRows } from "./vectors.ts";

const backend = countingBackend(ortBackend({ threads: 1 }));
afterAll(() => backend.dispose());

const powers = (count: number, exponent: number): Float64Array =>
  Float64Array.from({ length: count }, (_, index) => (index + 1) ** -exponent);

describe("leadingSvd", () => {
  // [about, rows, columns, S]
  it.each<[string, number, number, Float64Array]>([
    ["wide, falling slowly", 220, 300, powers(220, 0.5)],
    ["tall, falling slowly", 300, 220, powers(220, 0.5)],
    ["one size far above the others", 240, 240, powers(240, 0.3).map((value, index) => (index === 0 ? 50 : value))],
    ["almost equal sizes", 230, 230, Float64Array.from({ length: 230 }, (_, index) => 1 - index / 400)],
    ["small", 40, 30, powers(30, 0.5)],
  ])("finds the best approximation: %s", async (_, rows, columns, S) => {
    const whole = withSingularValues(S, rows, columns, random(1));
    const found = await leadingSvd(matrixOperator(recompose(whole)), { rank: 4, generator: random(2) });
    expect(distance(found, truncate(whole, 4).svd)).toBeLessThan(1e-6);
    found.S.forEach((size, index) => expect(size / S[index]).toBeCloseTo(1, 9));
    expect(departure(found.U)).toBeLessThan(1e-12);
    expect(departure(found.V)).toBeLessThan(1e-12);
  });

  it("gives the whole rank, also of a matrix that has less, or nothing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 20 }), fc.nat(1e6), async (rank, seed) => {
        const rows = rank === 0 ? Array.from({ length: 150 }, () => new Float64Array(160)) : randomRows(150, 160, rank, random(seed));
        const found = await leadingSvd(matrixOperator(rows), { rank: 20, generator: random(seed) });
        expect([found.U.length, found.S.length, found.V.length]).toEqual([20, 20, 20]);
        expect(departure(found.U)).toBeLessThan(1e-11);
        expect(departure(found.V)).toBeLessThan(1e-11);
        found.S.subarray(rank).forEach((size) => expect(size).toBeLessThan(1e-9));
        if (rank > 0) expect(distance(found, truncate(svd(rows), 20).svd)).toBeLessThan(1e-9);
      }),
      { seed: 3, numRuns: 8 },
    );
  });

  it("finds equal sizes, of which any vectors will do", async () => {
    const whole = withSingularValues(
      Float64Array.from({ length: 200 }, (_, index) => (index < 30 ? 2 : 1 - index / 400)),
      200,
      200,
      random(4),
    );
    const { S } = await leadingSvd(matrixOperator(recompose(whole)), { rank: 20, generator: random(5) });
    S.forEach((size) => expect(size).toBeCloseTo(2, 12));
  });

  it("does not depend on the vectors that it starts from", async () => {
    const operator = matrixOperator(recompose(withSingularValues(powers(220, 0.5), 220, 220, random(6))));
    const [one, other] = [
      await leadingSvd(operator, { rank: 4, generator: random(7) }),
      await leadingSvd(operator, { rank: 4, generator: random(8) }),
    ];
    expect(distance(one, other)).toBeLessThan(1e-6);
  });

  it("says so where the triplets do not settle", async () => {
    const generator = random(9);
    const noise = (vectors: readonly Float64Array[]) => Promise.resolve(normalVectors(vectors.length, 160, generator));
    const never = { inFeatures: 160, outFeatures: 160, forward: noise, adjoint: noise, dispose: async () => {} };
    await expect(leadingSvd(never, { rank: 1, generator })).rejects.toThrow(
      "The 1 leading singular values of a matrix of 160 × 160 do not settle",
    );
  });
});

describe("products on a backend", () => {
  const S = powers(200, 0.5);
  const whole = withSingularValues(S, 210, 200, random(10));
  const rows = recompose(whole);

  it.each([false, true])("are those of the matrix to float32; turned: %s", async (isTurned) => {
    const W = input("W", isTurned ? [200, 210] : [210, 200]);
    const data = isTurned
      ? Float32Array.from({ length: 200 * 210 }, (_, index) => rows[index % 210][Math.floor(index / 210)])
      : fromRows(rows);
    const resident = await backend.upload(f32(data, W.shape));
    const operator = weightOperator(backend, W, { isTurned, feeds: { W: resident } });
    const found = await leadingSvd(operator, { rank: 4, generator: random(11) });
    expect(distance(found, truncate(whole, 4).svd)).toBeLessThan(2e-6);
    await operator.dispose();
    await backend.release(resident);
    expect(backend.held()).toEqual({ residents: 0, programs: 0 });
  });
});

it("refuses a matrix that is not finite", async () => {
  const resident = await backend.upload(f32([1, NaN, 2, 3], [2, 2]));
  const operator = weightOperator(backend, input("W", [2, 2]), { feeds: { W: resident } });
  await expect(leadingSvd(operator, { rank: 1, generator: random(1) })).rejects.toThrow(
    "The matrix has values that are not finite numbers.",
  );
});

describe("randomisedSvd", () => {
  const error = async (whole: Svd, iterations: number, oversampling: number): Promise<number> => {
    const best = truncate(whole, 5).svd;
    return distance(
      await randomisedSvd(matrixOperator(recompose(whole)), { rank: 5, iterations, oversampling, generator: random(12) }),
      best,
    );
  };

  it("comes nearer with iterations and with oversampling", async () => {
    const whole = withSingularValues(powers(60, 1), 60, 80, random(13));
    const errors = [await error(whole, 0, 0), await error(whole, 4, 0), await error(whole, 4, 10), await error(whole, 16, 10)];
    expect(errors).toEqual([...errors].sort((a, b) => b - a));
    expect(errors[3]).toBeLessThan(1e-8);
  });

  it("is exact at once where the matrix has no more than the rank", async () => {
    expect(await error(withSingularValues(powers(5, 1), 60, 80, random(14)), 0, 0)).toBeLessThan(1e-14);
  });
});
