import { describe, expect, it } from "vitest";
import { evaluate, numbersOf } from "../../test/evaluate.ts";
import { countOf } from "../../test/graph-facts.ts";
import { input, program, type Tensor } from "../graph/index.ts";
import { f32, i32 } from "../util/index.ts";
import { modulesOf } from "./modules.ts";

const tensors: Record<string, Tensor> = {
  "embed.weight": input("E", [3, 2]),
  "proj.weight": input("W", [2, 2]),
  "proj.bias": input("b", [2]),
  "plain.weight": input("P", [2, 2]),
};
const find = (name: string): Tensor | undefined => tensors[name];
const modules = modulesOf({ find, aliases: { "head.weight": "embed.weight" }, trainable: [tensors["embed.weight"]] });

describe("modules", () => {
  it("multiply by a weight as checkpoints hold it, and add the bias", async () => {
    const { y } = await evaluate(
      { y: modules.linear("proj", input("x", [1, 2])) },
      { x: f32([1, 2], [1, 2]), W: f32([1, 10, 100, 1000], [2, 2]), b: f32([0.5, 0.25]) },
    );
    expect(numbersOf(y)).toEqual([21.5, 2100.25]);
  });

  it("give rows of an embedding, one for each id of any shape", async () => {
    const { y } = await evaluate(
      { y: modules.embedding("embed", input("ids", [2, 2], "i32")) },
      { ids: i32([2, 0, 1, 2], [2, 2]), E: f32([1, 2, 3, 4, 5, 6], [3, 2]) },
    );
    expect([y.shape, numbersOf(y)]).toEqual([
      [4, 2],
      [5, 6, 1, 2, 3, 4, 5, 6],
    ]);
  });

  it("find a tied head under its alias, and the head's own tensor before it", () => {
    expect(modules.tensor("head.weight")).toBe(tensors["embed.weight"]);
    expect(modules.has("head.weight")).toBe(true);
    const own = input("own", [3, 2]);
    const untied = modulesOf({ find: (name) => (name === "head.weight" ? own : find(name)), aliases: { "head.weight": "embed.weight" } });
    expect(untied.tensor("head.weight")).toBe(own);
  });

  it("say which tensor is missing", () => {
    expect(modules.has("other.weight")).toBe(false);
    expect(() => modules.tensor("other.weight")).toThrow('The model has no tensor "other.weight".');
    expect(() => modules.linear("toString", input("x", [1, 2]))).toThrow('"toString.weight"');
  });

  it.each<[module: string, name: string | undefined, why: string]>([
    ["plain", "plain.weight", "frozen and without bias"],
    ["proj", undefined, "with a bias"],
    ["embed", undefined, "trained"],
    ["head", undefined, "tied to what is trained"],
  ])("know the weight of %s as %s: it is %s", (module, name) => {
    expect(modules.frozenLinear(module)?.weight).toBe(name === undefined ? undefined : tensors[name]);
  });

  it.each([
    ["float32", [], 0],
    ["8 bits", ["int8", "int8.back", "int8.back.scales", "int8.back.means"], 1],
    ["8 bits without the way back", ["int8"], 0],
  ])("multiply probabilities back in %s, as the weight's form says", (_, parts, count) => {
    const types: Record<string, Tensor> = {
      "plain.int8": input("i", [2, 4], "i8"),
      "plain.int8.back": input("b", [4, 2], "i8"),
      "plain.int8.back.scales": input("s", [2]),
      "plain.int8.back.means": input("m", [2], "i8"),
      "plain.weight": input("P", [4, 2]),
    };
    const rounded = modulesOf({
      find: (name) => (name === "plain.weight" || parts.includes(name.replace("plain.", "")) ? types[name] : undefined),
    });
    const graph = program({ y: rounded.frozenLinear("plain")!.back(input("p", [3, 4])) });
    expect([countOf(graph, "int8-positive-matmul"), countOf(graph, "matmul")]).toEqual([count, 1]);
  });
});
