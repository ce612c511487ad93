/** @file Products of several modules as one: when there is one, and that it gives what each gives alone. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { evaluate, numbersOf } from "../../test/evaluate.ts";
import { countOf } from "../../test/graph-facts.ts";
import { temporaryWeights, type RoundedTensor, type TemporaryWeights } from "../formats/index.ts";
import { input, program, weight, type Tensor } from "../graph/index.ts";
import { f32 } from "../util/index.ts";
import { modulesOf, type Modules } from "./modules.ts";
import { int4 } from "./precision/int4.ts";
import { matrix } from "./precision/matrix.fixture.ts";

const inn = 40;
const partsOf = (module: string, out: number): RoundedTensor[] =>
  Object.entries(int4.round(matrix(out, inn, out), out, inn)).map(([part, tensor]) => ({
    name: `${module}.${part}`,
    ...tensor,
    make: () => Promise.resolve(tensor),
  }));

const files: TemporaryWeights[] = [];
beforeAll(async () => {
  files.push(await temporaryWeights([...partsOf("a", 3), ...partsOf("b", 2), ...partsOf("c", 4)]), await temporaryWeights(partsOf("d", 2)));
});
afterAll(() => Promise.all(files.map((file) => file.dispose())));

const modules = (): Modules => {
  const made = new Map(files.flatMap(({ locations }) => [...locations].map(([name, location]) => [name, weight(name, location)] as const)));
  const bias = input("bias", [2]);
  return modulesOf({ find: (name): Tensor | undefined => (name === "b.bias" ? bias : made.get(name)) });
};
const linears = (names: readonly string[], rows: number): Record<string, Tensor> => {
  const products = modules().linears(names, input("x", [rows, inn]));
  return Object.fromEntries(names.map((name, index) => [name, products[index]]));
};

describe("several modules with one input", () => {
  it.each<[what: string, names: string[], rows: number, products: number]>([
    ["behind each other", ["a", "b", "c"], 1, 1],
    ["a part of those", ["b", "c"], 63, 1],
    ["one alone", ["b"], 1, 1],
    ["in another order", ["b", "a"], 1, 2],
    ["with another between them", ["a", "c"], 1, 2],
    ["in two files", ["c", "d"], 1, 2],
    ["many rows", ["a", "b", "c"], 64, 3],
  ])("%s: %j of %d rows make %d products", (_, names, rows, products) => {
    expect(countOf(program(linears(names, rows)), "int4-matmul")).toBe(products);
  });

  it("give what each gives alone, with its bias", async () => {
    const feeds = { x: f32(matrix(2, inn, 9), [2, inn]), bias: f32([0.5, -2]) };
    const together = await evaluate(linears(["a", "b", "c"], 2), feeds);
    const own = modules();
    const x = input("x", [2, inn]);
    const alone = await evaluate({ a: own.linear("a", x), b: own.linear("b", x), c: own.linear("c", x) }, feeds);
    for (const name of ["a", "b", "c"]) expect(numbersOf(together[name])).toEqual(numbersOf(alone[name]));
  });
});
